-- raise_totals: let the totals of a queue be at least these.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   completed  int
--   failed     int
-- RETURNS
--   'ok'
-- EMITS
--   nothing
-- COST
--   O(1)
local queue = open_queue(KEYS[1], ARGV[1])
settle_meta(queue)
for state, total in pairs({ completed = ARGV[2], failed = ARGV[3] }) do
  local counted = number_of(try('HGET', queue.base .. 'metrics:' .. state, 'count')) or 0
  -- What is kept is there to be counted: a total of no more need not be written.
  if tonumber(total) > math.max(counted, try('ZCARD', queue.base .. state) or 0) then
    note_problem(queue, count_elsewhere, queue, state, tonumber(total) - counted)
  end
end
return 'ok'
