-- access_key_add: keep a key whose name and digest are free.
--
-- PARAMS
--   name        text
--   digest      text
--   role        text
--   queues      text   JSON
--   payloads    int
--   created_ms  int    epoch milliseconds
--   expires_ms  int    epoch milliseconds
--   only_first  int    1: only if there is neither a key nor a user
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO access_keys (name, digest, role, queues, payloads, created_ms, expires_ms)
SELECT :name, :digest, :role, :queues, :payloads, :created_ms, :expires_ms
 WHERE NOT :only_first
    OR NOT EXISTS (SELECT 1 FROM access_keys) AND NOT EXISTS (SELECT 1 FROM access_users)
    ON CONFLICT DO NOTHING;
