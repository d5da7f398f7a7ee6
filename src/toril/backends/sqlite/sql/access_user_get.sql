-- access_user_get: one user.
--
-- PARAMS
--   name  text
-- RETURNS
--   one row (as access_users), or none
-- COST
--   one probe
SELECT name, password, stamp, role, queues, payloads, created_ms
  FROM access_users
 WHERE name = :name;
