-- running: how many jobs of one queue each worker runs.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row each (worker_id, jobs)
-- COST
--   one walk of jobs_active: as many as run at once
SELECT worker_id, count(*)
  FROM jobs
 WHERE queue_id = :queue_id AND state = 'active'
 GROUP BY worker_id;
