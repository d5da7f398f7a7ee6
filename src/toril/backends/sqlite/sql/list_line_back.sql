-- list_line_back: a page of jobs in line, last in line first.
--
-- PARAMS
--   queue_id  int
--   state     text  wait or prioritized
--   first     int   where to go on: the page before ended with these two
--   second    int
--   limit     int
-- RETURNS
--   one row each (number, priority, position)
-- COST
--   one walk of jobs_line
SELECT number, priority, position
  FROM jobs
 WHERE queue_id = :queue_id AND state = :state AND state IN ('wait', 'prioritized')
   AND (priority, position) < (:first, :second)
 ORDER BY priority DESC, position DESC
 LIMIT :limit;
