-- workers_oldest: when the worker was heard of that is silent for the longest time.
--
-- RETURNS
--   one row: a moment of the steady clock, or null
-- COST
--   O(workers)
SELECT min(beat_ms) FROM workers WHERE NOT dead;
