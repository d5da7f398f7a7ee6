-- claim_one: lease the next job of one queue to one worker.
--
-- PARAMS
--   token          text
--   worker_id      text
--   lease_ms       int
--   lease_ends_ms  int   steady clock
--   now_ms         int   epoch milliseconds
--   queue_id       int
-- RETURNS
--   one row, or none: number, id, name, data, opts, attempts_started, attempts_made, timestamp_ms,
--   deferred_failure, ready_ms, priority
-- COST
--   one probe of jobs_line
UPDATE jobs
   SET state = 'active', token = :token, worker_id = :worker_id, lease_ms = :lease_ms,
       lease_ends_ms = :lease_ends_ms, processed_ms = :now_ms,
       attempts_started = attempts_started + 1
 WHERE number = (SELECT number
                   FROM jobs
                  WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
                  ORDER BY priority, position
                  LIMIT 1)
RETURNING number, coalesce(custom_id, CAST(number AS TEXT)) AS id, name, data, opts,
          attempts_started, attempts_made, timestamp_ms, deferred_failure, ready_ms, priority;
