-- history_forget: remove the history of a queue that goes.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   O(rows)
DELETE FROM history WHERE queue_id = :queue_id;
