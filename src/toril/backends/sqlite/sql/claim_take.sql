-- claim_take: lease jobs that were just found in line to one worker.
--
-- PARAMS
--   token          text
--   worker_id      text
--   lease_ms       int
--   lease_ends_ms  int   steady clock
--   now_ms         int   epoch milliseconds
--   numbers        text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = 'active', token = :token, worker_id = :worker_id, lease_ms = :lease_ms,
       lease_ends_ms = :lease_ends_ms, processed_ms = :now_ms,
       attempts_started = attempts_started + 1
 WHERE number IN (SELECT value FROM json_each(:numbers));
