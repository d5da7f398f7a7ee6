-- history_put: keep what one task did in one period.
--
-- PARAMS
--   queue_id  int
--   level     int
--   start_ms  int   epoch milliseconds
--   task      text
--   tally     text  JSON
-- RETURNS
--   nothing
-- COST
--   one probe
INSERT OR REPLACE INTO history (queue_id, level, start_ms, task, tally)
VALUES (:queue_id, :level, :start_ms, :task, :tally);
