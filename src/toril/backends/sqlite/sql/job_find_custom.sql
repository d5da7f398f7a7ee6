-- job_find_custom: one job by the id that its caller chose.
--
-- PARAMS
--   queue_id   int
--   custom_id  text
-- RETURNS
--   as job_find
-- COST
--   one probe of jobs_custom_id
SELECT number, state, priority, coalesce(custom_id, CAST(number AS TEXT))
  FROM jobs
 WHERE queue_id = :queue_id AND custom_id = :custom_id;
