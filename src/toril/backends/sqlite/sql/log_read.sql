-- log_read: a page of a job's log, oldest first.
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
 ORDER BY line_number
 LIMIT :limit OFFSET :start;
