-- redrive: bring the job of a dead letter back, and mark the letter.
--
-- KEYS
--   letters    hash    <prefix>:<dead-letter queue>:meta
--   meta       hash    <prefix>:<queue of the job>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   letter_id  string
--   expected   string  the letter's payload as it has to be still
--   marked     string  its payload from then on
--   id         string  of the job
--   data       string  the payload that the job gets; empty: it keeps its own
--   priority   int     of the job as it is added if it is gone
--   fields...  string  pairs for the hash of the job as it is added
-- RETURNS
--   {'back', state it was in, or false} | {'was_back', state} | {'changed'} | {'missing'}
-- EMITS
--   waiting
-- COST
--   O(log N)
local letters, queue = open_queue(KEYS[1], ARGV[1]), open_queue(KEYS[2], ARGV[1])
local letter, id, data = letters.base .. ARGV[2], ARGV[5], ARGV[6]
local stored = try('HGET', letter, 'data')
if not stored then return { 'missing' } end
if stored ~= ARGV[3] then return { 'changed' } end
local state = state_of(queue, id)
if state and state ~= 'failed' then
  redis.call('HSET', letter, 'data', ARGV[4])
  return { 'was_back', state }
end
settle_meta(queue)
if state then
  if data ~= '' then redis.call('HSET', queue.base .. id, 'data', data) end
  revive(queue, id, state, true)
else
  -- Its place comes first: if that cannot be had, nothing has been written.
  line_up(queue, id, tonumber(ARGV[7]), false)
  redis.call('HSET', queue.base .. id, unpack(ARGV, 8))
  emit(queue, 'waiting', 'jobId', id)
end
redis.call('HSET', letter, 'data', ARGV[4])
wake(queue)
return { 'back', state }
