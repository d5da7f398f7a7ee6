-- access_user_remove: forget a user.
--
-- KEYS
--   users      hash    <prefix>::toril:{access}:users
--   passwords  hash    <prefix>::toril:{access}:passwords
-- ARGV
--   name       string
-- RETURNS
--   1; 0: there is none
-- EMITS
--   nothing
-- COST
--   2 commands
local users, passwords, name = KEYS[1], KEYS[2], ARGV[1]
redis.call('HDEL', passwords, name)
return redis.call('HDEL', users, name)
