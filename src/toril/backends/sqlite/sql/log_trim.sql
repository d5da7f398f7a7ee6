-- log_trim: drop a job's old log lines.
--
-- PARAMS
--   job_number  int
--   until       int   this line and those before
-- RETURNS
--   nothing
-- COST
--   O(lines dropped)
DELETE FROM logs WHERE job_number = :job_number AND line_number <= :until;
