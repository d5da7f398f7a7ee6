-- schedule_remove: remove one schedule.
--
-- PARAMS
--   queue_id  int
--   id        text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM schedules WHERE queue_id = :queue_id AND id = :id;
