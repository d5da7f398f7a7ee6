-- tally_get: what one task did in one period.
--
-- PARAMS
--   queue_id  int
--   level     int
--   start_ms  int   epoch milliseconds
--   task      text
-- RETURNS
--   one row, or none: tally
-- COST
--   one probe
SELECT tally
  FROM history
 WHERE queue_id = :queue_id AND level = :level AND start_ms = :start_ms AND task = :task;
