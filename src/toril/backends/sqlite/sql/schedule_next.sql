-- schedule_next: the newest slot of one schedule.
--
-- PARAMS
--   queue_id  int
--   id        text
-- RETURNS
--   one row (next_ms), or none
-- COST
--   one probe of schedules
SELECT next_ms FROM schedules WHERE queue_id = :queue_id AND id = :id;
