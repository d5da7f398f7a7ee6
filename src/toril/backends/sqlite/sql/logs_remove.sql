-- logs_remove: remove the logs of jobs.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(log lines of the jobs given)
DELETE FROM logs WHERE job_number IN (SELECT value FROM json_each(:numbers));
