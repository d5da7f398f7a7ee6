-- worker_list: the register, oldest first.
--
-- RETURNS
--   one row each
-- COST
--   O(workers)
SELECT id, host, pid, queues, concurrency, running, started_ms, beat_ms, quiet, resident_bytes, version,
       tasks
  FROM workers
 WHERE NOT dead
 ORDER BY started_ms, id;
