-- doctor_misdated: delayed jobs that were put off at a moment which has not come yet.
--
-- A wait that this start of the host has noted by the steady clock ends on time all the same.
--
-- PARAMS
--   latest_ms  int   epoch milliseconds: the latest moment at which one may have been put off
--   boot       int   start of the host
-- RETURNS
--   one row each (queue name, id), by queue
-- COST
--   O(delayed jobs)
SELECT queues.name, coalesce(jobs.custom_id, CAST(jobs.number AS TEXT))
  FROM queues
 CROSS JOIN jobs ON jobs.queue_id = queues.id AND jobs.state = 'delayed'
 WHERE jobs.due_ms > :latest_ms AND jobs.delay_ms > 0 AND jobs.due_ms - jobs.delay_ms > :latest_ms
   AND (jobs.boot IS NULL OR jobs.boot <> :boot);
