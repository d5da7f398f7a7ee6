-- worker_remove: take a worker off the register.
--
-- PARAMS
--   id  text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM workers WHERE id = :id;
