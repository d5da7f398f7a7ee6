-- access_sessions_remove: end some sessions of one person.
--
-- KEYS
--   list         zset    <prefix>::toril:{access}:sessions:<kind>:<name>
--   sessions...  string  <prefix>::toril:{access}:session:<digest>, one for each digest
-- ARGV
--   digests...   string
-- RETURNS
--   how many they were
-- EMITS
--   nothing
-- COST
--   2 commands
redis.call('ZREM', KEYS[1], unpack(ARGV))
return redis.call('DEL', unpack(KEYS, 2))
