-- retry: put one finished job back in line.
--
-- KEYS
--   meta            hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms       int     epoch milliseconds in tests; empty: the server's time
--   id              string
--   reset_attempts  string  'yes' or 'no'
-- RETURNS
--   {'ok', state} | {'missing'} | {'wrong', state}
-- EMITS
--   waiting waiting-children
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
if not state then return { 'missing' } end
if state ~= 'failed' and state ~= 'completed' then return { 'wrong', state } end
revive(queue, id, state, ARGV[3] == 'yes')
wake(queue)
return { 'ok', state }
