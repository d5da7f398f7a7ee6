-- list_line_back: a page of jobs in line, last in line first.
--
-- PARAMS
--   queue_id     int
--   after        int   priority and place below which the page ends: the start of this state
--   after_place  int
--   until        int   priority and place below which it begins: the last of the page before
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
 ORDER BY priority DESC, position DESC
 LIMIT :limit;
