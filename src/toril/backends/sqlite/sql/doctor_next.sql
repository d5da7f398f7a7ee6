-- doctor_next: the custom id of the next job in line.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row (custom id or NULL); none if no job is in line
-- COST
--   one probe of jobs_line
SELECT custom_id
  FROM jobs
 WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
 ORDER BY priority, position
 LIMIT 1;
