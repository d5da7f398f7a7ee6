-- history_drop: remove one row.
--
-- PARAMS
--   queue_id  int
--   level     int
--   start_ms  int   epoch milliseconds
--   task      text
-- RETURNS
--   nothing
-- COST
--   one probe
DELETE FROM history
 WHERE queue_id = :queue_id AND level = :level AND start_ms = :start_ms AND task = :task;
