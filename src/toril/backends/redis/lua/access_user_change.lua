-- access_user_change: give a user other rights.
--
-- KEYS
--   users     hash    <prefix>::toril:{access}:users
-- ARGV
--   name      string
--   record    string  JSON
--   expected  string  JSON that it has to have still
--   keep_one  string  a role that the last one who has it for all queues keeps; empty: none
-- RETURNS
--   done, missing, outdated or last
-- EMITS
--   nothing
-- COST
--   2 commands; with keep_one 4, and a walk of users
local users, name, record, expected, keep_one = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = redis.call('HGET', users, name)
if not now then return 'missing' end
if now ~= expected then return 'outdated' end
if not has_role(record, keep_one) and is_last_of_role(users, name, keep_one) then return 'last' end
redis.call('HSET', users, name, record)
return 'done'
