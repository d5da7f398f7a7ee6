-- operation_list: the newest operations.
--
-- PARAMS
--   now_ms  int
--   limit   int
-- RETURNS
--   one row each, newest first
-- COST
--   one walk of operations_created, no further than the limit
SELECT id, body, created_ms, state, wanted, note, ended_ms,
       until_ms > :now_ms AND state = 'running' AS driven
  FROM operations
 ORDER BY created_ms DESC, id DESC
 LIMIT :limit;
