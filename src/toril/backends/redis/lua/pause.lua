-- pause: let no job of the queue start; running ones go on.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   moving     string  'yes': because it moves to another store; not if it is paused already
-- RETURNS
--   'ok'
-- EMITS
--   paused
-- COST
--   O(1)
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/emit
-- @include lib/settle_meta
local queue, moving = open_queue(KEYS[1], ARGV[1]), ARGV[2] == 'yes'
if moving and queue.paused then return 'ok' end
settle_meta(queue)
if not queue.paused then redis.call('HSET', queue.meta, 'toril:pausedAt', queue.now) end
redis.call('HSET', queue.meta, 'paused', 1)
if moving then redis.call('HSET', queue.meta, 'toril:moving', 1)
else redis.call('HDEL', queue.meta, 'toril:moving') end
redis.call('DEL', queue.base .. 'marker')
emit(queue, 'paused')
return 'ok'
