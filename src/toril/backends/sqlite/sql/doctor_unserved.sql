-- doctor_unserved: queues that have jobs in line and no live worker.
--
-- RETURNS
--   one row each (name, jobs in line)
-- COST
--   O(queues × workers)
SELECT name, n_wait + n_prioritized
  FROM queues
 WHERE n_wait + n_prioritized > 0 AND NOT paused
   AND NOT EXISTS (SELECT 1 FROM workers, json_each(workers.queues) AS served
                    WHERE served.value = queues.name AND NOT workers.dead)
 ORDER BY name;
