-- history_ahead: minutes that are dated in the future, which a wrong calendar has written.
--
-- PARAMS
--   after_ms  int   epoch milliseconds
--   limit     int
-- RETURNS
--   one row each: queue_id, start_ms, task, tally
-- COST
--   one probe a queue
SELECT history.queue_id, history.start_ms, history.task, history.tally
  FROM queues
  JOIN history ON history.queue_id = queues.id AND history.level = 0
   AND history.start_ms > :after_ms
 LIMIT :limit;
