-- access_user_remove: forget a user.
--
-- KEYS
--   users      hash    <prefix>::toril:{access}:users
--   passwords  hash    <prefix>::toril:{access}:passwords
-- ARGV
--   name       string
--   keep_one   string  a role that the last one who has it for all queues keeps; empty: none
-- RETURNS
--   done, missing or last
-- EMITS
--   nothing
-- COST
--   2 commands; with keep_one 4, and a walk of users
local users, passwords, name, keep_one = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
if is_last_of_role(users, name, keep_one) then return 'last' end
redis.call('HDEL', passwords, name)
return redis.call('HDEL', users, name) == 1 and 'done' or 'missing'
