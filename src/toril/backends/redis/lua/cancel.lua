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
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state == 'completed' or state == 'failed' then
  return { 'wrong', state }
end
cancel_job(queue, id, state, reason, tonumber(ARGV[4]))
return { 'ok', state }
