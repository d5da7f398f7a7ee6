-- ahead_count: how many jobs in line start before one of them.
--
-- PARAMS
--   queue_id  int
--   number    int   of that job
--   limit     int   count no further
-- RETURNS
--   one row (count)
-- COST
--   one walk of jobs_line, no further than the limit
SELECT count(*)
  FROM (SELECT 1
          FROM jobs
         WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
           AND (priority, position) < (SELECT priority, position FROM jobs WHERE number = :number)
         ORDER BY priority, position
         LIMIT :limit);
