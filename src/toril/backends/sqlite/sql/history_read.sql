-- history_read: what the tasks of a queue did in periods of one length.
--
-- PARAMS
--   queue_id  int
--   level     int
--   since_ms  int   epoch milliseconds
--   until_ms  int   epoch milliseconds; not in it
-- RETURNS
--   one row each: start_ms, task, tally
-- COST
--   O(rows)
SELECT start_ms, task, tally
  FROM history
 WHERE queue_id = :queue_id AND level = :level AND start_ms >= :since_ms AND start_ms < :until_ms
 ORDER BY start_ms, task;
