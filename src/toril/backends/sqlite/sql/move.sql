-- move: active jobs go elsewhere: failed, back in line, or delayed. Null keeps what is there.
--
-- PARAMS
--   moves  text  JSON array of [number, state, position, due_ms, delay_ms, attempts_made,
--                 failed_reason, attempt, finished_ms, stalled, deferred_failure, boot,
--                 due_steady_ms]; stalled is added to what was counted, which begins anew with null
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = moves.value ->> 1,
       position = coalesce(moves.value ->> 2, position),
       due_ms = moves.value ->> 3,
       delay_ms = coalesce(moves.value ->> 4, delay_ms),
       attempts_made = coalesce(moves.value ->> 5, attempts_made),
       failed_reason = coalesce(moves.value ->> 6, failed_reason),
       -- The newest 50 attempts are kept (engine/job.py, MAX_HISTORY).
       history = CASE WHEN moves.value ->> 7 IS NULL THEN history ELSE json_insert(
           CASE WHEN json_valid(history) IS NOT 1 THEN '[]'  -- none so far, or nonsense
                WHEN json_array_length(history) >= 50 THEN json_remove(history, '$[0]')
                ELSE history END,
           '$[#]', json(moves.value -> 7)) END,
       finished_ms = moves.value ->> 8,
       stalled = coalesce(stalled + (moves.value ->> 9), 0),
       deferred_failure = CASE WHEN moves.value ->> 1 = 'failed' THEN NULL
                               ELSE coalesce(moves.value ->> 10, deferred_failure) END,
       cancel_reason = CASE WHEN moves.value ->> 1 = 'failed' THEN NULL ELSE cancel_reason END,
       boot = moves.value ->> 11, due_steady_ms = moves.value ->> 12,
       token = NULL, lease_ends_ms = NULL
  FROM jsonb_each(:moves) AS moves
 WHERE jobs.number = moves.value ->> 0;
