-- access_session_add: keep a session.
--
-- PARAMS
--   digest      text
--   kind        text
--   name        text
--   stamp       text
--   expires_ms  int    epoch milliseconds
--   begun_ms    int    epoch milliseconds
--   seen_ms     int    epoch milliseconds
--   place       text
--   agent       text
-- RETURNS
--   nothing
-- COST
--   one row
INSERT OR REPLACE INTO access_sessions
       (digest, kind, name, stamp, expires_ms, begun_ms, seen_ms, place, agent)
VALUES (:digest, :kind, :name, :stamp, :expires_ms, :begun_ms, :seen_ms, :place, :agent);
