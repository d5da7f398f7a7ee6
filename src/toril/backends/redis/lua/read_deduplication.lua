-- read_deduplication: which job holds a de-duplication id.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string  of the de-duplication
-- RETURNS
--   the job's id, or nil
-- EMITS
--   nothing
-- COST
--   O(1)
local holder = deduplication_holder(open_queue(KEYS[1], ARGV[1]), ARGV[2])
return holder or false
