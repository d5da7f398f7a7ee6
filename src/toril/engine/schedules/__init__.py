"""Schedules: rules that make jobs. Which slot is next, what was missed, what its job is."""
