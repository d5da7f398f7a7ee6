-- jobs_adopt: add jobs whole, as another store had them.
--
-- PARAMS
--   jobs  text  JSON array of objects with the names of the columns
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
INSERT INTO jobs (number, queue_id, custom_id, state, position, due_ms, finished_ms,
                  name, data, opts, priority, timestamp_ms, delay_ms, attempts_started,
                  attempts_made, stalled, processed_ms, worker_id, progress, deferred_failure,
                  cancel_reason, failed_reason, result, history, parent)
SELECT value ->> 'number', value ->> 'queue_id', value ->> 'custom_id', value ->> 'state',
       value ->> 'position', value ->> 'due_ms', value ->> 'finished_ms', value ->> 'name',
       value ->> 'data', value ->> 'opts', value ->> 'priority', value ->> 'timestamp_ms',
       value ->> 'delay_ms', value ->> 'attempts_started', value ->> 'attempts_made',
       value ->> 'stalled', value ->> 'processed_ms', value ->> 'worker_id',
       value ->> 'progress', value ->> 'deferred_failure', value ->> 'cancel_reason',
       value ->> 'failed_reason', value ->> 'result', value ->> 'history', value ->> 'parent'
  FROM jsonb_each(:jobs);
