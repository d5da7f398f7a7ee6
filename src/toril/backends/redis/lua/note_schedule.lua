-- note_schedule: write what BullMQ cannot say of a schedule.
--
-- KEYS
--   meta    hash    <prefix>:<queue>:meta
-- ARGV
--   id      string
--   beside  json    empty: nothing
-- RETURNS
--   1, or 0 if there is no such schedule
-- EMITS
--   nothing
-- COST
--   2 commands
-- @include lib/schedule_keys
local queue, id = { base = string.sub(KEYS[1], 1, -5) }, ARGV[1]
if not newest_slot(queue, id) then return 0 end
if ARGV[2] == '' then redis.call('HDEL', beside_key(queue), id)
else redis.call('HSET', beside_key(queue), id, ARGV[2]) end
return 1
