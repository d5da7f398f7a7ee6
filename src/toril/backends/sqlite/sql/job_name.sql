-- job_name: the name of one job.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row, or none: name
-- COST
--   one row
SELECT name FROM jobs WHERE number = :number;
