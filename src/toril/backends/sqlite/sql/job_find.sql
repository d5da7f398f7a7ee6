-- job_find: one job by its number.
--
-- PARAMS
--   queue_id  int
--   number    int
-- RETURNS
--   one row (number, state, priority, position, id, processed_ms, worker_id, token,
--   attempts_made, delay_ms), or none
-- COST
--   one probe of jobs
SELECT number, state, priority, position, coalesce(custom_id, CAST(number AS TEXT)), processed_ms,
       worker_id, token, attempts_made, delay_ms
  FROM jobs
 WHERE queue_id = :queue_id AND number = :number AND custom_id IS NULL;
