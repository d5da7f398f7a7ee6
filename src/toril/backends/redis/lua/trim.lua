-- trim: remove finished jobs that are older than their queue keeps them.
--
-- KEYS
--   meta       hash  <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int   epoch milliseconds in tests; empty: the server's time
--   limit      int   jobs in this call
-- RETURNS
--   how many went
-- EMITS
--   waiting delayed, of parents that went back in line
-- COST
--   2 commands a job
local queue = open_queue(KEYS[1], ARGV[1])
local limit, removed = tonumber(ARGV[2]), 0
for _, state in ipairs({ 'completed', 'failed' }) do
  local age_ms = number_of(queue.keep[state])
  if age_ms and removed < limit then
    removed = removed + (note_problem(queue, drop_older, queue, state, age_ms, limit - removed) or 0)
  end
end
return removed
