-- access_sessions_trim: forget sessions that have expired.
--
-- PARAMS
--   now_ms  int   epoch milliseconds
-- RETURNS
--   nothing
-- COST
--   one walk of access_sessions_expiry, as far as they have
DELETE FROM access_sessions
 WHERE expires_ms <= :now_ms;
