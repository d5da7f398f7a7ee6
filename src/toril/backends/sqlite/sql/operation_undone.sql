-- operation_undone: note that what an operation had removed was put back.
--
-- PARAMS
--   note  text
--   id    text
-- RETURNS
--   nothing
-- COST
--   one probe of operations
UPDATE operations SET state = 'undone', note = :note WHERE id = :id AND state <> 'running';
