-- list_parents: a page of parents that wait for children, longest first.
--
-- PARAMS
--   queue_id  int
--   first     int   where to go on: the page before ended with these two
--   second    int
--   limit     int
-- RETURNS
--   one row each (number, due_ms, position, timestamp_ms)
-- COST
--   one walk of jobs_parents
SELECT number, due_ms, position, timestamp_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state = 'waiting-children'
   AND (due_ms, position) > (:first, :second)
 ORDER BY due_ms, position
 LIMIT :limit;
