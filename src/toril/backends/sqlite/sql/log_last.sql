-- log_last: the number of a job's newest log line, and how many are kept.
--
-- PARAMS
--   job_number  int
-- RETURNS
--   one row (line_number or null, count)
-- COST
--   O(kept lines)
SELECT max(line_number), count(*) FROM logs WHERE job_number = :job_number;
