-- ahead_count: how many jobs in line start before a place in it.
--
-- The place is given and not looked up here: of one from a subquery only the first column would
-- bound the walk, which would go through all jobs of that priority.
--
-- PARAMS
--   queue_id  int
--   priority  int
--   position  int
--   limit     int   count no further
-- RETURNS
--   one row (count)
-- COST
--   one walk of jobs_line, no further than the limit
SELECT count(*)
  FROM (SELECT 1
          FROM jobs
         WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
           AND (priority, position) < (:priority, :position)
         LIMIT :limit);
