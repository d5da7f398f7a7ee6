-- access_key_add: keep a key whose name and digest are free.
--
-- KEYS
--   digests     hash    <prefix>::toril:{access}:digests
--   names       hash    <prefix>::toril:{access}:keys
--   users       hash    <prefix>::toril:{access}:users
-- ARGV
--   name        string
--   digest      string
--   record      string  JSON
--   only_first  int     1: only if there is neither a key nor a user
-- RETURNS
--   1; 0: it was not added
-- EMITS
--   nothing
-- COST
--   5 commands
local digests, names, users = KEYS[1], KEYS[2], KEYS[3]
local name, digest, record, only_first = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
if only_first and redis.call('EXISTS', digests, users) > 0 then return 0 end
if redis.call('HEXISTS', digests, digest) == 1 then return 0 end
if redis.call('HSETNX', names, name, digest) == 0 then return 0 end
redis.call('HSET', digests, digest, record)
return 1
