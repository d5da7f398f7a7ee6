-- removed_find: jobs that an operation has removed, oldest first.
--
-- PARAMS
--   operation_id  text
--   queue         text
--   now_ms        int   only those that are kept still
--   limit         int
-- RETURNS
--   one row each (id, body)
-- COST
--   one walk of removed_jobs_operation, no further than the limit
SELECT id, body
  FROM removed_jobs
 WHERE operation_id = :operation_id AND queue = :queue AND until_ms > :now_ms
 ORDER BY id
 LIMIT :limit;
