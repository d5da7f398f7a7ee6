-- worker_dead: a worker is known to be dead.
--
-- PARAMS
--   id  text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE workers SET dead = 1 WHERE id = :id;
