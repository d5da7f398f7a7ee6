-- access_key_remove: forget a key.
--
-- PARAMS
--   name  text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM access_keys
 WHERE name = :name;
