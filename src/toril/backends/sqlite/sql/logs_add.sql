-- logs_add: add the logs of new jobs.
--
-- PARAMS
--   lines  text  JSON array of [job_number, line_number, line]
-- RETURNS
--   nothing
-- COST
--   O(lines given)
INSERT INTO logs SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(:lines);
