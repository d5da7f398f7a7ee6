-- change_delay: make a delayed job due so long from now.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   delay_ms   int     milliseconds
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   delayed
-- COST
--   O(log N)
local queue, id, delay_ms = open_queue(KEYS[1], ARGV[1]), ARGV[2], tonumber(ARGV[3])
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state ~= 'delayed' then return { 'wrong', state } end
redis.call('ZREM', queue.base .. 'delayed', id)
put_off(queue, id, queue.now_ms + delay_ms)
redis.call('HSET', queue.base .. id, 'delay', delay_ms)
wake_at(queue)
return { 'ok', state }
