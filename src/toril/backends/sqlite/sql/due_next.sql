-- due_next: when the next delayed job may run.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row (due_ms), or none
-- COST
--   one probe of jobs_delayed
SELECT due_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state = 'delayed'
 ORDER BY due_ms
 LIMIT 1;
