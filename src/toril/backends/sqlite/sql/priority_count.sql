-- priority_count: how many jobs wait with one priority.
--
-- PARAMS
--   queue_id  int
--   priority  int
-- RETURNS
--   one row (count)
-- COST
--   one walk of jobs_line, over the jobs of that priority
SELECT count(*)
  FROM jobs
 WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized') AND priority = :priority;
