-- doctor_unserved: queues that have jobs in line and no live worker.
--
-- RETURNS
--   one row each (id, name, jobs in line, queues that live workers serve as JSON)
-- COST
--   O(queues × workers)
SELECT id, name, n_wait + n_prioritized,
       (SELECT json_group_array(DISTINCT served.value)
          FROM workers, json_each(workers.queues) AS served WHERE NOT workers.dead)
  FROM queues
 WHERE n_wait + n_prioritized > 0 AND NOT paused
   AND NOT EXISTS (SELECT 1 FROM workers, json_each(workers.queues) AS served
                    WHERE served.value = queues.name AND NOT workers.dead)
 ORDER BY name;
