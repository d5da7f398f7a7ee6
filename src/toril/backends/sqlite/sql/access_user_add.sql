-- access_user_add: keep a user whose name is free.
--
-- PARAMS
--   name        text
--   password    text   hash
--   stamp       text
--   role        text
--   queues      text   JSON
--   payloads    int
--   created_ms  int    epoch milliseconds
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO access_users (name, password, stamp, role, queues, payloads, created_ms)
VALUES (:name, :password, :stamp, :role, :queues, :payloads, :created_ms)
    ON CONFLICT DO NOTHING;
