-- doctor_lapsed: running jobs whose lease has ended, whatever is known of their worker.
--
-- PARAMS
--   steady_ms  int   steady clock
-- RETURNS
--   one row each, as lapsed: (number, queue name, id, priority, stalled, worker_id, processed_ms,
--   attempts_started, cancel_reason, 1)
-- COST
--   O(running jobs)
SELECT jobs.number, queues.name AS queue,
       coalesce(jobs.custom_id, CAST(jobs.number AS TEXT)) AS id, jobs.priority, jobs.stalled, jobs.worker_id,
       jobs.processed_ms, jobs.attempts_started,
       jobs.cancel_reason, 1 AS counts
  FROM queues
 CROSS JOIN jobs ON jobs.queue_id = queues.id AND jobs.state = 'active'
 WHERE jobs.lease_ends_ms <= :steady_ms
       -- Further ahead than the lease is long: the host's clock began anew since, with its start.
    OR jobs.lease_ends_ms > :steady_ms + jobs.lease_ms
 ORDER BY jobs.processed_ms, jobs.number;
