-- workers_bury: take workers off the register that are dead and hold no job any more.
--
-- PARAMS
--   silent_since_ms  int   steady clock
--   steady_ms        int
-- RETURNS
--   one row (id, host, pid, queues, beat_ms) each
-- COST
--   O(workers)
DELETE FROM workers
 WHERE (dead OR beat_ms < :silent_since_ms OR beat_ms > :steady_ms)
   AND NOT EXISTS (SELECT 1 FROM jobs WHERE state = 'active' AND worker_id = workers.id)
RETURNING id, host, pid, queues, beat_ms;
