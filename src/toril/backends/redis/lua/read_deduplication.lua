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
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/remaining
-- @include lib/deduplication_holder
local holder = deduplication_holder(open_queue(KEYS[1], ARGV[1]), ARGV[2])
return holder or false
