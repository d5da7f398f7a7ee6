-- log_read_back: a page of a job's log, newest first.
--
-- PARAMS
--   job_number  int
--   limit       int
--   start       int   lines to pass over
-- RETURNS
--   one row each (line)
-- COST
--   O(lines up to the page's end)
SELECT line
  FROM logs
 WHERE job_number = :job_number
 ORDER BY line_number DESC
 LIMIT :limit OFFSET :start;
