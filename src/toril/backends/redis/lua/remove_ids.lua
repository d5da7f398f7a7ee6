-- remove_ids: take ids out of one state whose job is gone; others stay.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   state      string  also `paused`
--   ids...     string
-- RETURNS
--   those that went
-- EMITS
--   nothing
-- COST
--   3 commands an id; O(N) for each in a list
local queue, state, removed = open_queue(KEYS[1], ARGV[1]), ARGV[2], {}
local key = queue.base .. state
local is_list = state == 'wait' or state == 'active' or state == 'paused'
for index = 3, #ARGV do
  local id = ARGV[index]
  if is_gone(queue.base, id, state) then
    local many = is_list and redis.call('LREM', key, 0, id) or redis.call('ZREM', key, id)
    if many > 0 then removed[#removed + 1] = id end
  end
end
if state == 'active' and #removed > 0 and queue.concurrency then wake(queue) end  -- a place is free
return removed
