-- unlettered_read: failed jobs of a queue that have no letter, oldest first.
--
-- PARAMS
--   queue  text
--   limit  int
-- RETURNS
--   one row each (place, id; null if the job is gone)
-- COST
--   O(jobs returned)
SELECT unlettered.place, coalesce(jobs.custom_id, CAST(jobs.number AS TEXT))
  FROM queues
  JOIN unlettered ON unlettered.queue_id = queues.id
  LEFT JOIN jobs ON jobs.number = unlettered.number
 WHERE queues.name = :queue
 ORDER BY unlettered.place
 LIMIT :limit;
