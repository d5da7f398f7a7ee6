-- set_progress: replace the progress of a job that has not finished, from outside an attempt.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   progress   string  JSON
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   progress
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state == 'completed' or state == 'failed' then return { 'wrong', state } end
redis.call('HSET', queue.base .. id, 'progress', ARGV[3])
emit(queue, 'progress', 'jobId', id, 'data', ARGV[3])
return { 'ok', state }
