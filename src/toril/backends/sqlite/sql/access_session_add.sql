-- access_session_add: keep a session.
--
-- PARAMS
--   digest      text
--   kind        text
--   name        text
--   stamp       text
--   expires_ms  int    epoch milliseconds
-- RETURNS
--   nothing
-- COST
--   one row
INSERT OR REPLACE INTO access_sessions (digest, kind, name, stamp, expires_ms)
VALUES (:digest, :kind, :name, :stamp, :expires_ms);
