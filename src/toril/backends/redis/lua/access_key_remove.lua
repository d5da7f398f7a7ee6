-- access_key_remove: forget a key.
--
-- KEYS
--   digests  hash    <prefix>::toril:{access}:digests
--   names    hash    <prefix>::toril:{access}:keys
-- ARGV
--   name     string
-- RETURNS
--   1; 0: there is none
-- EMITS
--   nothing
-- COST
--   3 commands
local digests, names, name = KEYS[1], KEYS[2], ARGV[1]
local digest = redis.call('HGET', names, name)
if not digest then return 0 end
redis.call('HDEL', names, name)
redis.call('HDEL', digests, digest)
return 1
