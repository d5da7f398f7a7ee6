-- change_priority: give a job another priority; one in line moves within it.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   priority   int     0 to 2097151; 0 is none
--   in_front   string  'yes': to the front of its priority; 'no': to the end
-- RETURNS
--   {'ok', state} | {'missing'}
-- EMITS
--   nothing
-- COST
--   O(log N); O(N) for a job in `wait`
local queue, id, priority = open_queue(KEYS[1], ARGV[1]), ARGV[2], tonumber(ARGV[3])
local state = state_of(queue, id)
if not state then return { 'missing' } end
redis.call('HSET', queue.base .. id, 'priority', priority)
if state == 'wait' or state == 'prioritized' then
  leave_state(queue, id, state)
  line_up(queue, id, priority, ARGV[4] == 'yes')
end
return { 'ok', state }
