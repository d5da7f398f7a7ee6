-- line_older: jobs in line that were added before a moment.
--
-- PARAMS
--   queue_id  int
--   state     text  wait or prioritized
--   until_ms  int   epoch milliseconds
--   limit     int
-- RETURNS
--   one row: JSON array of [number, id, priority]
-- COST
--   one walk of jobs_line, until enough are found
SELECT json_group_array(json_array(number, coalesce(custom_id, CAST(number AS TEXT)), priority))
  FROM (SELECT number, custom_id, priority
          FROM jobs
         WHERE queue_id = :queue_id AND state = :state AND state IN ('wait', 'prioritized')
           AND timestamp_ms <= :until_ms
         LIMIT :limit);
