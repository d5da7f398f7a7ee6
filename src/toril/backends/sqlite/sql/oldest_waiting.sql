-- oldest_waiting: when the job that is next in line was added.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row (timestamp_ms), or none
-- COST
--   one probe of jobs_line
SELECT timestamp_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
 ORDER BY priority, position
 LIMIT 1;
