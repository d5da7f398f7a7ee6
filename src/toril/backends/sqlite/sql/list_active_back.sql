-- list_active_back: a page of running jobs, shortest running first.
--
-- PARAMS
--   queue_id  int
--   first     int   where to go on: the page before ended with these two
--   second    int
--   limit     int
-- RETURNS
--   one row each (number, processed_ms, number, timestamp_ms)
-- COST
--   one walk of jobs_active, sorted: as many as run at once
SELECT number, processed_ms, number, timestamp_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state = 'active'
   AND (processed_ms, number) < (:first, :second)
 ORDER BY processed_ms DESC, number DESC
 LIMIT :limit;
