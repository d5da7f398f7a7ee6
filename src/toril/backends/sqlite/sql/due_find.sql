-- due_find: delayed jobs whose moment has come, soonest first.
--
-- PARAMS
--   queue_id  int
--   now_ms    int   epoch milliseconds
--   limit     int
-- RETURNS
--   one row: JSON array of [number, id, priority]
-- COST
--   one walk of jobs_delayed
SELECT json_group_array(json_array(number, coalesce(custom_id, CAST(number AS TEXT)), priority))
  FROM (SELECT number, custom_id, priority
          FROM jobs
         WHERE queue_id = :queue_id AND state = 'delayed' AND due_ms <= :now_ms
         ORDER BY due_ms, position
         LIMIT :limit);
