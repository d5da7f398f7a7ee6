-- remove: remove one job.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   removed waiting
-- COST
--   O(log N); O(N) for a job in `wait`
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state == 'active' or state == 'waiting-children' then return { 'wrong', state } end
if is_scheduled(queue, id) then return { 'wrong', 'scheduled' } end
leave_state(queue, id, state)
remove_job(queue, id)
emit(queue, 'removed', 'jobId', id, 'prev', state)
return { 'ok', state }
