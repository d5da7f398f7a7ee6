-- job_find: one job by its number.
--
-- PARAMS
--   queue_id  int
--   number    int
-- RETURNS
--   one row (number, state, priority, id), or none
-- COST
--   one probe of jobs
SELECT number, state, priority, coalesce(custom_id, CAST(number AS TEXT))
  FROM jobs
 WHERE queue_id = :queue_id AND number = :number AND custom_id IS NULL;
