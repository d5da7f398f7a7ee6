-- list_finished_back: a page of finished jobs, newest first.
--
-- PARAMS
--   queue_id  int
--   state     text  completed or failed
--   first     int   where to go on: the page before ended with these two
--   second    int
--   limit     int
-- RETURNS
--   one row each (number, finished_ms, number, timestamp_ms)
-- COST
--   one walk of jobs_finished
SELECT number, finished_ms, number, timestamp_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state = :state AND state IN ('completed', 'failed')
   AND (finished_ms, number) < (:first, :second)
 ORDER BY finished_ms DESC, number DESC
 LIMIT :limit;
