-- cancel: stop a job for good; of one that runs its worker learns with its next renewal.
--
-- A running one also gets a deferred failure, so that whoever recovers it, a Node worker included,
-- does not run it again.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   reason     string
--   points     int     minutes of metrics to keep; 0: none
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   failed waiting delayed
-- COST
--   O(log N); O(N) for a job in `wait`
local queue, id, reason = open_queue(KEYS[1], ARGV[1]), ARGV[2], ARGV[3]
local key = queue.base .. id
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state == 'completed' or state == 'failed' then
  return { 'wrong', state }
end
if state == 'active' then
  redis.call('HSET', key, 'toril:cancel', reason, 'defa', reason)
  return { 'ok', state }
end
finish_in_order(queue, 'failed', { id }, queue.now_ms)
leave_state(queue, id, state)
redis.call('HSET', key, 'failedReason', reason, 'finishedOn', queue.now_ms, 'delay', 0)
redis.call('HDEL', key, 'defa', 'toril:cancel')
note_problem(queue, count_finished, queue, 'failed', 1, tonumber(ARGV[4]))
local facts = redis.call('HMGET', key, 'parent', 'deid', 'name')
if queue.history and facts[3] then
  note_problem(queue, tally, queue, { 1, 1, facts[3] }, {})
end
if facts[1] then despite_damage(tell_parent_failed, queue, id, facts[1], reason) end
if facts[2] then despite_damage(free_deduplication, queue, id, facts[2]) end
emit(queue, 'failed', 'jobId', id, 'failedReason', reason, 'prev', state)
return { 'ok', state }
