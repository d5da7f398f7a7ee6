-- doctor_unserved: queues that have jobs in line and no live worker.
--
-- RETURNS
--   one row each (name, jobs in line, the next one's custom id, queues that live workers serve as JSON)
-- COST
--   O(queues × workers), and one probe of jobs_line for each row
SELECT name, n_wait + n_prioritized,
       (SELECT custom_id FROM jobs
         WHERE jobs.queue_id = queues.id AND state IN ('wait', 'prioritized')
         ORDER BY priority, position LIMIT 1),
       (SELECT json_group_array(DISTINCT served.value)
          FROM workers, json_each(workers.queues) AS served WHERE NOT workers.dead)
  FROM queues
 WHERE n_wait + n_prioritized > 0 AND NOT paused
   AND NOT EXISTS (SELECT 1 FROM workers, json_each(workers.queues) AS served
                    WHERE served.value = queues.name AND NOT workers.dead)
 ORDER BY name;
