-- schedules_forget: remove all schedules of one queue.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   one walk of those of the queue
DELETE FROM schedules WHERE queue_id = :queue_id;
