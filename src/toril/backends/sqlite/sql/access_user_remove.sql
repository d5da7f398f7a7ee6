-- access_user_remove: forget a user.
--
-- PARAMS
--   name  text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM access_users
 WHERE name = :name;
