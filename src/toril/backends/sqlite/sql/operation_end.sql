-- operation_end: note that an operation has ended.
--
-- PARAMS
--   state   text
--   note    text
--   now_ms  int
--   id      text
--   holder  text  who drove it
-- RETURNS
--   one row (id) if the holder still drove it, or none
-- COST
--   one probe of operations
UPDATE operations
   SET state = :state, note = :note, ended_ms = :now_ms
 WHERE id = :id AND holder = :holder AND state = 'running'
RETURNING id;
