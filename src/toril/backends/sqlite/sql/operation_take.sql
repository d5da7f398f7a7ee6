-- operation_take: drive an operation that runs, and that no other drives.
--
-- PARAMS
--   holder    text
--   until_ms  int   for how long
--   id        text
--   now_ms    int
-- RETURNS
--   one row (id) if it was taken, or none
-- COST
--   one probe of operations
UPDATE operations
   SET holder = :holder, until_ms = :until_ms
 WHERE id = :id AND state = 'running' AND (until_ms <= :now_ms OR holder = :holder)
RETURNING id;
