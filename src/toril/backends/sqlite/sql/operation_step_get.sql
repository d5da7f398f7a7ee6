-- operation_step_get: how far an operation has come in a queue.
--
-- PARAMS
--   operation_id  text
--   queue         text
-- RETURNS
--   one row (version, place, done, refused, looked_at), or none
-- COST
--   one probe of operation_steps
SELECT version, place, done, refused, looked_at
  FROM operation_steps
 WHERE operation_id = :operation_id AND queue = :queue;
