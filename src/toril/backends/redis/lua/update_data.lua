-- update_data: replace the payload of a job that no worker holds.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   data       string  JSON
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   nothing
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state == 'active' then return { 'wrong', state } end
redis.call('HSET', queue.base .. id, 'data', ARGV[3])
return { 'ok', state }
