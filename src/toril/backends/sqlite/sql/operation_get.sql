-- operation_get: one operation.
--
-- PARAMS
--   now_ms  int
--   id      text
-- RETURNS
--   one row, or none
-- COST
--   one probe of operations
SELECT id, body, created_ms, state, wanted, note, ended_ms,
       until_ms > :now_ms AND state = 'running' AS driven
  FROM operations
 WHERE id = :id;
