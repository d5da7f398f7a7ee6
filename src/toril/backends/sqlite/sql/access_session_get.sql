-- access_session_get: a session that has not expired.
--
-- PARAMS
--   digest  text
--   now_ms  int    epoch milliseconds
-- RETURNS
--   one row (digest, kind, name, stamp, expires_ms), or none
-- COST
--   one probe
SELECT digest, kind, name, stamp, expires_ms
  FROM access_sessions
 WHERE digest = :digest AND expires_ms > :now_ms;
