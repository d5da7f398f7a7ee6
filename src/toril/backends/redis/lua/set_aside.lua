-- set_aside: rename keys of a queue's own that hold what does not belong there.
--
-- Where the counter of ids was none, ids go on from the time: above all that it has given.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   names...   string  of the keys, as they stand behind the queue's
-- RETURNS
--   those that were renamed, to toril:aside:<name>:<ms>
-- EMITS
--   nothing
-- COST
--   3 commands a name
local base, aside = string.sub(KEYS[1], 1, -5), {}
local queue = open_queue(KEYS[1], ARGV[1])
for index = 2, #ARGV do
  local name = ARGV[index]
  if damage_of(base, name) then
    redis.call('RENAME', base .. name, base .. 'toril:aside:' .. name .. ':' .. queue.now)
    if name == 'id' then redis.call('SET', base .. name, queue.now) end
    aside[#aside + 1] = name
  end
end
return aside
