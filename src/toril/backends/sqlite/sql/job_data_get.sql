-- job_data_get: the payload of a job.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row, or none
-- COST
--   one row
SELECT data FROM jobs WHERE number = :number;
