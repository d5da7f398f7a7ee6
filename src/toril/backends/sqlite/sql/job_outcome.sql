-- job_outcome: how a job has ended, and whose child it is.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row (result, failed_reason, parent, delay_ms)
-- COST
--   one row
SELECT result, failed_reason, parent, delay_ms
  FROM jobs
 WHERE number = :number;
