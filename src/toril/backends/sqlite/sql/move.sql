-- move: active jobs go elsewhere: failed, back in line, or delayed. Null keeps what is there.
--
-- PARAMS
--   moves  text  JSON array of objects (moves.py, Move)
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = moves.value ->> 'state',
       position = coalesce(moves.value ->> 'position', position),
       due_ms = moves.value ->> 'due_ms', ready_ms = -1,
       delay_ms = coalesce(moves.value ->> 'delay_ms', delay_ms),
       attempts_made = coalesce(moves.value ->> 'attempts_made', attempts_made),
       failed_reason = coalesce(moves.value ->> 'failed_reason', failed_reason),
       -- The newest 50 attempts are kept (engine/job.py, MAX_HISTORY).
       history = CASE WHEN moves.value ->> 'attempt' IS NULL THEN history ELSE json_insert(
           CASE WHEN json_valid(history) IS NOT 1 THEN '[]'  -- none so far, or nonsense
                -- Of attempts in a row that no worker had a task for only the newest stays.
                WHEN moves.value ->> '$.attempt.unknownSinceMs' IS NOT NULL
                     AND history ->> '$[#-1].unknownSinceMs' IS NOT NULL
                THEN json_remove(history, '$[#-1]')
                WHEN json_array_length(history) >= 50 THEN json_remove(history, '$[0]')
                ELSE history END,
           '$[#]', json(moves.value -> 'attempt')) END,
       finished_ms = moves.value ->> 'finished_ms',
       stalled = coalesce(stalled + (moves.value ->> 'stalled'), 0),
       deferred_failure = CASE WHEN moves.value ->> 'state' = 'failed' THEN NULL
                               ELSE coalesce(moves.value ->> 'deferred_failure', deferred_failure) END,
       cancel_reason = CASE WHEN moves.value ->> 'state' = 'failed' THEN NULL ELSE cancel_reason END,
       boot = moves.value ->> 'boot', due_steady_ms = moves.value ->> 'due_steady_ms',
       token = NULL, lease_ends_ms = NULL
  FROM jsonb_each(:moves) AS moves
 WHERE jobs.number = moves.value ->> 'number';
