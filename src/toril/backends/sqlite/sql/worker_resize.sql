-- worker_resize: leave a wish about its size for a worker that is on the register.
--
-- PARAMS
--   wish  text
--   id    text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE workers SET size_wish = :wish WHERE id = :id AND NOT dead;
