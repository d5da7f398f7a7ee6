-- queue_remove: forget a queue and its events. Its jobs are gone already.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   O(kept events)
DELETE FROM events WHERE queue_id = :queue_id;
DELETE FROM queues WHERE id = :queue_id;
