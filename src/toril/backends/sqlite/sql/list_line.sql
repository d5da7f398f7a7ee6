-- list_line: a page of jobs in line, in the order in which they will run.
--
-- PARAMS
--   queue_id     int
--   after        int   priority and place that come before the page: the last of the page before
--   after_place  int
--   until        int   priority and place that come after it: the end of the jobs of this state
--   until_place  int
--   limit        int
-- RETURNS
--   one row each (number, priority, position, timestamp_ms)
-- COST
--   one walk of jobs_line, no further than the page
SELECT number, priority, position, timestamp_ms
  FROM jobs
 WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
   AND (priority, position) > (:after, :after_place)
   AND (priority, position) < (:until, :until_place)
 ORDER BY priority, position
 LIMIT :limit;
