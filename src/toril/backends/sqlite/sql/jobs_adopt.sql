-- jobs_adopt: add jobs whole, as another store had them.
--
-- PARAMS
--   jobs  text  JSON array of [number, queue_id, custom_id, state, position, due_ms, finished_ms,
--                    name, data, opts, priority, timestamp_ms, delay_ms, attempts_started,
--                    attempts_made, stalled, processed_ms, worker_id, progress, deferred_failure,
--                    cancel_reason, failed_reason, result, history, parent]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
INSERT INTO jobs (number, queue_id, custom_id, state, position, due_ms, finished_ms,
                  name, data, opts, priority, timestamp_ms, delay_ms, attempts_started,
                  attempts_made, stalled, processed_ms, worker_id, progress, deferred_failure,
                  cancel_reason, failed_reason, result, history, parent)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12,
       value ->> 13, value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18,
       value ->> 19, value ->> 20, value ->> 21, value ->> 22, value ->> 23, value ->> 24
  FROM jsonb_each(:jobs);
