-- retry_many: put finished jobs of one state back in line, those that ended first before others.
--
-- KEYS
--   meta            hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms       int     epoch milliseconds in tests; empty: the server's time
--   state           string  completed or failed
--   limit           int     jobs in this call
--   until_ms        int     finished then or before, epoch milliseconds
--   reset_attempts  string  'yes' or 'no'
-- RETURNS
--   how many
-- EMITS
--   waiting waiting-children
-- COST
--   about 6 commands a job
local queue, state = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local ids = redis.call('ZRANGEBYSCORE', queue.base .. state, '-inf', ended_by(tonumber(ARGV[4])), 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do revive(queue, id, state, ARGV[5] == 'yes') end
if #ids > 0 then wake(queue) end
return #ids
