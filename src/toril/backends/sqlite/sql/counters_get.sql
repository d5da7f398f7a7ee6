-- counters_get: the last job number and the last place in line.
--
-- RETURNS
--   one row (job_number, ticket)
-- COST
--   one row
SELECT job_number, ticket FROM counters;
