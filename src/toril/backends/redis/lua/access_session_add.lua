-- access_session_add: keep a session, and list it among those of its person.
--
-- A session that ends before it expires stays in the list until then; its record is gone.
--
-- KEYS
--   session     string  <prefix>::toril:{access}:session:<digest>
--   list        zset    <prefix>::toril:{access}:sessions:<kind>:<name>
-- ARGV
--   digest      string
--   record      string  JSON
--   expires_ms  int     epoch
--   now_ms      int     epoch
-- RETURNS
--   nothing
-- EMITS
--   nothing
-- COST
--   5 commands, and one for those that have expired
local session, list = KEYS[1], KEYS[2]
local digest, record, expires_ms, now_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('SET', session, record, 'PXAT', expires_ms)
redis.call('ZADD', list, expires_ms, digest)
local expired = redis.call('ZRANGEBYSCORE', list, '-inf', now_ms, 'LIMIT', 0, 1000)
if #expired > 0 then redis.call('ZREM', list, unpack(expired)) end
expire_with_last(list)
