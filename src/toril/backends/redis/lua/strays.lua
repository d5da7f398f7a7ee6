-- strays: tell which of some jobs are in no state, and in which they should be.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   ids...     string
-- RETURNS
--   {id, state} of each that is in none
-- EMITS
--   nothing
-- COST
--   about 10 commands a job; O(jobs in `wait`) for one that is in no set
local queue, found = open_queue(KEYS[1], ARGV[1]), {}
for index = 2, #ARGV do
  local id = ARGV[index]
  if is_stray(queue.base, id) then
    local state = belongs_to(queue, id)
    found[#found + 1] = { id, state }
  end
end
return found
