-- remove: remove jobs and their logs.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given and their log lines)
DELETE FROM logs WHERE job_number IN (SELECT value FROM json_each(:numbers));
DELETE FROM jobs WHERE number IN (SELECT value FROM json_each(:numbers));
