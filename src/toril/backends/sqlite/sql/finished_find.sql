-- finished_find: the finished jobs of one state that ended first.
--
-- PARAMS
--   queue_id  int
--   state     text  completed or failed
--   until_ms  int   epoch milliseconds: finished then or before
--   limit     int
-- RETURNS
--   one row: JSON array of [number, id, priority]
-- COST
--   one walk of jobs_finished
SELECT json_group_array(json_array(number, coalesce(custom_id, CAST(number AS TEXT)), priority))
  FROM (SELECT number, custom_id, priority
          FROM jobs
         WHERE queue_id = :queue_id AND state = :state AND state IN ('completed', 'failed')
           AND finished_ms <= :until_ms
         ORDER BY finished_ms
         LIMIT :limit);
