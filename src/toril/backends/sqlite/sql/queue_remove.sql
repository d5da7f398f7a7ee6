-- queue_remove: forget a queue. Its jobs are gone already, its events by events_trim.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM queues WHERE id = :queue_id;
