-- lapsed: running jobs whose lease has ended, or whose worker is dead.
--
-- PARAMS
--   steady_ms        int   steady clock
--   silent_since_ms  int   a worker not heard of since is dead
--   limit            int
-- RETURNS
--   one row each (number, queue name, id, priority, stalled, worker_id, processed_ms,
--   attempts_started, cancel_reason, 1 if its loss counts: the lease has ended, or was renewed)
-- COST
--   O(running jobs)
SELECT jobs.number, queues.name AS queue,
       coalesce(jobs.custom_id, CAST(jobs.number AS TEXT)) AS id, jobs.priority, jobs.stalled, jobs.worker_id,
       jobs.processed_ms, jobs.attempts_started,
       jobs.cancel_reason, (jobs.lease_ends_ms <= :steady_ms OR jobs.lease_ends_ms % 2 = 1) AS counts
  FROM queues
 CROSS JOIN jobs ON jobs.queue_id = queues.id AND jobs.state = 'active'
  LEFT JOIN workers ON workers.id = jobs.worker_id
 WHERE jobs.lease_ends_ms <= :steady_ms
       -- Further ahead than the lease is long: the host's clock began anew since, with its start.
    OR jobs.lease_ends_ms > :steady_ms + jobs.lease_ms
    OR workers.dead
    OR workers.beat_ms < :silent_since_ms
    OR workers.beat_ms > :steady_ms
 ORDER BY jobs.processed_ms, jobs.number
 LIMIT :limit;
