-- job_data: replace a job's payload.
--
-- PARAMS
--   data    text  JSON
--   number  int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET data = :data WHERE number = :number;
