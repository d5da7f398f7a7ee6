-- promote: make one delayed job ready now.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   waiting
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state ~= 'delayed' then return { 'wrong', state } end
redis.call('ZREM', queue.base .. 'delayed', id)
line_up(queue, id, priority_of(redis.call('HGET', queue.base .. id, 'priority')), false)
wake(queue)
emit(queue, 'waiting', 'jobId', id, 'prev', 'delayed')
redis.call('HSET', queue.base .. id, 'delay', 0)
return { 'ok', state }
