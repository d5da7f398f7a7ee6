-- access_session_see: write down when and from where a session was last used.
--
-- PARAMS
--   seen_ms  int    epoch milliseconds
--   place    text
--   agent    text
--   digest   text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE access_sessions
   SET seen_ms = :seen_ms, place = :place, agent = :agent
 WHERE digest = :digest;
