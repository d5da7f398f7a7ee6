-- queues_served: the queues that a live worker serves.
--
-- RETURNS
--   one row each (name)
-- COST
--   O(queues of all workers)
SELECT DISTINCT served.value
  FROM workers, json_each(workers.queues) AS served
 WHERE NOT workers.dead;
