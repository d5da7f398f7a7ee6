-- queue_paused_at: since when a queue is paused.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row (paused_at_ms)
-- COST
--   one row
SELECT paused_at_ms FROM queues WHERE id = :queue_id;
