-- access_user_others: how many others have a role for all queues.
--
-- PARAMS
--   role  text
--   name  text   whom not to count
-- RETURNS
--   one row (number)
-- COST
--   one walk of access_users
SELECT count(*)
  FROM access_users
 WHERE role = :role AND queues IS NULL AND name <> :name;
