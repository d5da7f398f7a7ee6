-- access_session_remove: end a session.
--
-- PARAMS
--   digest  text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM access_sessions
 WHERE digest = :digest;
