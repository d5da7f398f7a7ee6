-- jobs_read: everything about some jobs.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   one row each, in the order given
-- COST
--   O(jobs given)
SELECT jobs.number, coalesce(custom_id, CAST(number AS TEXT)) AS id, name, state, data, opts, priority,
       timestamp_ms, delay_ms, due_ms, attempts_made, attempts_started, stalled, progress, result,
       failed_reason, processed_ms, finished_ms, worker_id, lease_ends_ms, deferred_failure,
       cancel_reason, history, octet_length(data) AS data_bytes, boot, due_steady_ms,
       jobs.parent AS parent
  FROM json_each(:numbers) AS wanted
 CROSS JOIN jobs ON jobs.number = wanted.value
 ORDER BY wanted.key;
