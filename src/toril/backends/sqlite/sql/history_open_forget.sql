-- history_open_forget: remove the counts of a queue that goes.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   O(rows)
DELETE FROM history_open WHERE queue_id = :queue_id;
