-- counters_save: keep the last job number and the last place in line.
--
-- PARAMS
--   job_number  int
--   ticket      int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE counters SET job_number = :job_number, ticket = :ticket;
