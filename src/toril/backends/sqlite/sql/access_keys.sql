-- access_keys: all keys, by name.
--
-- RETURNS
--   one row each (name, digest, role, queues, payloads, created_ms, expires_ms)
-- COST
--   one walk of access_keys
SELECT name, digest, role, queues, payloads, created_ms, expires_ms
  FROM access_keys
 ORDER BY name;
