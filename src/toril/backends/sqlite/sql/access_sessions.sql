-- access_sessions: the sessions of some people that have not expired.
--
-- PARAMS
--   people  text   JSON [[kind, name], ...]
--   now_ms  int    epoch milliseconds
-- RETURNS
--   one row each (digest, kind, name, stamp, expires_ms, begun_ms, seen_ms, place, agent)
-- COST
--   one probe of access_sessions_whose for each of them, and their sessions
SELECT digest, kind, name, stamp, expires_ms, begun_ms, seen_ms, place, agent
  FROM json_each(:people) AS person
  JOIN access_sessions
    ON kind = person.value ->> 0 AND name = person.value ->> 1
 WHERE expires_ms > :now_ms;
