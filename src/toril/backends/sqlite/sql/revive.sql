-- revive: finished jobs go back in line; their history stays, the last success included.
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
       position = places.value ->> 1, due_ms = NULL, delay_ms = 0, ready_ms = -1,
       -- The newest 50 attempts are kept (engine/job.py, MAX_HISTORY).
       history = CASE WHEN state = 'completed' THEN json_insert(
           CASE WHEN json_valid(history) IS NOT 1 THEN '[]'  -- none so far, or nonsense
                WHEN json_array_length(history) >= 50 THEN json_remove(history, '$[0]')
                ELSE history END,
           '$[#]', json_object('number', attempts_started, 'startedMs', processed_ms,
                               'endedMs', finished_ms, 'workerId', worker_id,
                               'outcome', 'completed'))
         ELSE history END,
       finished_ms = NULL, processed_ms = NULL, failed_reason = NULL, result = NULL,
       stalled = 0, deferred_failure = NULL, cancel_reason = NULL,
       attempts_made = CASE WHEN wish.reset THEN 0 ELSE attempts_made END,
       attempts_started = CASE WHEN wish.reset THEN 0 ELSE attempts_started END
  FROM wish, jsonb_each(:places) AS places
 WHERE jobs.number = places.value ->> 0;
