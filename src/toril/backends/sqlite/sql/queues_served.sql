-- queues_served: the queues that a live worker serves.
--
-- RETURNS
--   one row each (name); one may come several times
-- COST
--   O(queues of all workers)
SELECT served.value
  FROM workers, json_each(workers.queues) AS served
 WHERE NOT workers.dead;
