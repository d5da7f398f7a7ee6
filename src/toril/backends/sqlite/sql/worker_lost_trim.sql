-- worker_lost_trim: forget workers that were found dead long ago.
--
-- PARAMS
--   until  int   the last position to forget
-- RETURNS
--   nothing
-- COST
--   O(rows removed)
DELETE FROM lost_workers WHERE position <= :until;
