-- access_session_see: write down when and from where a session was last used.
--
-- One that an earlier version began is listed from now on.
--
-- KEYS
--   session     string  <prefix>::toril:{access}:session:<digest>
--   list        zset    <prefix>::toril:{access}:sessions:<kind>:<name>
-- ARGV
--   digest      string
--   record      string  JSON
--   expires_ms  int     epoch
-- RETURNS
--   1; 0: it has ended
-- EMITS
--   nothing
-- COST
--   4 commands
local session, list = KEYS[1], KEYS[2]
local digest, record, expires_ms = ARGV[1], ARGV[2], ARGV[3]
if not redis.call('SET', session, record, 'XX', 'PXAT', expires_ms) then return 0 end
redis.call('ZADD', list, expires_ms, digest)
expire_with_last(list)
return 1
