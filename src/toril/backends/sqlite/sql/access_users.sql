-- access_users: all users, by name.
--
-- RETURNS
--   one row each (name, password, stamp, role, queues, payloads, created_ms)
-- COST
--   one walk of access_users
SELECT name, password, stamp, role, queues, payloads, created_ms
  FROM access_users
 ORDER BY name;
