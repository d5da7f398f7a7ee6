-- operation_cancel: note that somebody wants an operation to end.
--
-- PARAMS
--   id  text
-- RETURNS
--   one row (id) if it runs, or none
-- COST
--   one probe of operations
UPDATE operations SET wanted = 'cancel' WHERE id = :id AND state = 'running' RETURNING id;
