-- release_deduplication: let the next job have a de-duplication id.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string  of the de-duplication
-- RETURNS
--   1 if a job held it, else 0
-- EMITS
--   nothing
-- COST
--   O(1)
local queue, deduplication_id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local held = deduplication_holder(queue, deduplication_id)
redis.call('DEL', queue.base .. 'de:' .. deduplication_id)
return held and 1 or 0
