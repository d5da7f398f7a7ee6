-- schedules_queues: the queues that have schedules, by name.
--
-- RETURNS
--   one row each (name)
-- COST
--   one probe of schedules a queue
SELECT name
  FROM queues
 WHERE EXISTS (SELECT 1 FROM schedules WHERE queue_id = queues.id)
 ORDER BY name;
