-- access_user_password: give a user another password.
--
-- PARAMS
--   password  text   hash
--   stamp     text
--   name      text
--   expected  text   the hash that it has to have still; null: any
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE access_users
   SET password = :password, stamp = :stamp
 WHERE name = :name AND (:expected IS NULL OR password = :expected);
