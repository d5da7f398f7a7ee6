-- read_job: one job whole.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
-- RETURNS
--   its fields in the order of lib/read_job, or nothing
-- EMITS
--   nothing
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local state = state_of(queue, id)
return state and read_job(queue, id, state)
