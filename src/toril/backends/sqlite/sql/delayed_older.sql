-- delayed_older: delayed jobs that were added before a moment.
--
-- PARAMS
--   queue_id  int
--   until_ms  int   epoch milliseconds
--   limit     int
-- RETURNS
--   one row: JSON array of [number, id, priority]
-- COST
--   one walk of jobs_delayed, until enough are found
SELECT json_group_array(json_array(number, coalesce(custom_id, CAST(number AS TEXT)), priority))
  FROM (SELECT number, custom_id, priority
          FROM jobs
         WHERE queue_id = :queue_id AND state = 'delayed' AND timestamp_ms <= :until_ms
         LIMIT :limit);
