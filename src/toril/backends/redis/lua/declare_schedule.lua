-- declare_schedule: write which code declares a schedule.
--
-- KEYS
--   meta      hash    <prefix>:<queue>:meta
-- ARGV
--   id        string
--   declared  json
-- RETURNS
--   1, or 0 if there is no such schedule
-- EMITS
--   nothing
-- COST
--   2 commands
local queue, id = { base = string.sub(KEYS[1], 1, -5) }, ARGV[1]
if not newest_slot(queue, id) then return 0 end
redis.call('HSET', declared_key(queue), id, ARGV[2])
return 1
