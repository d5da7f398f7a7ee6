-- jobs_wait: note by the steady clock when the waits of delayed jobs are over.
--
-- PARAMS
--   boot   int   start of the host
--   waits  text  JSON array of [number, due_steady_ms]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
WITH host (boot) AS (SELECT :boot)
UPDATE jobs
   SET boot = host.boot, due_steady_ms = waits.value ->> 1
  FROM host, jsonb_each(:waits) AS waits
 WHERE jobs.number = waits.value ->> 0;
