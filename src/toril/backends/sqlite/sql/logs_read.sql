-- logs_read: the whole logs of some jobs, oldest line first.
--
-- PARAMS
--   numbers  text  JSON array of job numbers; null for a job that is not there
-- RETURNS
--   one row for each line (place of the job among those given, from 0; line)
-- COST
--   O(jobs given and their lines)
SELECT wanted.key, logs.line
  FROM json_each(:numbers) AS wanted
 CROSS JOIN logs ON logs.job_number = wanted.value
 ORDER BY wanted.key, logs.line_number;
