-- access_session_get: a session that has not expired.
--
-- PARAMS
--   digest  text
--   now_ms  int    epoch milliseconds
-- RETURNS
--   one row (as access_sessions), or none
-- COST
--   one probe
SELECT digest, kind, name, stamp, expires_ms, begun_ms, seen_ms, place, agent
  FROM access_sessions
 WHERE digest = :digest AND expires_ms > :now_ms;
