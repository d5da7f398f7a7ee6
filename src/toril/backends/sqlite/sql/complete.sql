-- complete: active jobs are done.
--
-- PARAMS
--   now_ms  int   epoch milliseconds
--   done    text  JSON array of [number, attempts_made, result]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = 'completed', finished_ms = :now_ms, attempts_made = done.value ->> 1,
       result = done.value ->> 2, token = NULL, lease_ends_ms = NULL, cancel_reason = NULL,
       failed_reason = NULL, deferred_failure = NULL
  FROM jsonb_each(:done) AS done
 WHERE jobs.number = done.value ->> 0;
