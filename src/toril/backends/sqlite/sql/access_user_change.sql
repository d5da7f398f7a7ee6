-- access_user_change: give a user other rights.
--
-- PARAMS
--   role      text
--   queues    text   JSON
--   payloads  int
--   name      text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE access_users
   SET role = :role, queues = :queues, payloads = :payloads
 WHERE name = :name;
