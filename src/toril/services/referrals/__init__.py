"""Who referred whom, and what referrers earned: once for each order and level, for ever."""
