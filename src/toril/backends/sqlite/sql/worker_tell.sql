-- worker_tell: leave a wish for a worker that is on the register.
--
-- PARAMS
--   wish  text
--   id    text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE workers SET wish = :wish WHERE id = :id AND NOT dead;
