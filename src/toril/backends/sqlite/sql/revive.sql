-- revive: finished jobs go back in line; their history stays.
--
-- PARAMS
--   reset   int   1: count attempts anew
--   places  text  JSON array of [number, position]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
WITH wish (reset) AS (SELECT :reset)
UPDATE jobs
   SET state = CASE WHEN priority > 0 THEN 'prioritized' ELSE 'wait' END,
       position = places.value ->> 1, due_ms = NULL, delay_ms = 0,
       finished_ms = NULL, processed_ms = NULL, failed_reason = NULL, result = NULL,
       stalled = 0, deferred_failure = NULL, cancel_reason = NULL,
       attempts_made = CASE WHEN wish.reset THEN 0 ELSE attempts_made END,
       attempts_started = CASE WHEN wish.reset THEN 0 ELSE attempts_started END
  FROM wish, json_each(:places) AS places
 WHERE jobs.number = places.value ->> 0;
