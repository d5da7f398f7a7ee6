-- access_user_password: give a user another password.
--
-- KEYS
--   users      hash    <prefix>::toril:{access}:users
--   passwords  hash    <prefix>::toril:{access}:passwords
-- ARGV
--   name       string
--   password   string  JSON [hash, stamp]
--   expected   string  the hash that it has to have still; empty: any
-- RETURNS
--   1; 0: there is no such user, or it has another hash
-- EMITS
--   nothing
-- COST
--   3 commands
local users, passwords, name, password, expected = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
if redis.call('HEXISTS', users, name) == 0 then return 0 end
if expected ~= '' then
  local now = decoded(redis.call('HGET', passwords, name))
  if not now or now[1] ~= expected then return 0 end
end
redis.call('HSET', passwords, name, password)
return 1
