-- access_user_add: keep a user whose name is free.
--
-- KEYS
--   users      hash    <prefix>::toril:{access}:users
--   passwords  hash    <prefix>::toril:{access}:passwords
-- ARGV
--   name       string
--   record     string  JSON
--   password   string  JSON [hash, stamp]
-- RETURNS
--   1; 0: the name is taken
-- EMITS
--   nothing
-- COST
--   2 commands
local users, passwords, name, record, password = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HSETNX', users, name, record) == 0 then return 0 end
redis.call('HSET', passwords, name, password)
return 1
