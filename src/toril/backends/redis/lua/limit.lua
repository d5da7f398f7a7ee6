-- limit: set or lift what holds a queue back over all workers.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   settings   string  JSON object: field of the meta hash to its value, or false to remove it
-- RETURNS
--   'ok'
-- EMITS
--   nothing
-- COST
--   O(settings)
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/settle_meta
-- @include lib/wake
local queue = open_queue(KEYS[1], ARGV[1])
settle_meta(queue)
for field, value in pairs(cjson.decode(ARGV[2])) do
  if value then redis.call('HSET', queue.meta, field, value)
  else redis.call('HDEL', queue.meta, field) end
end
queue = open_queue(KEYS[1], ARGV[1])
if redis.call('EXISTS', queue.base .. 'wait', queue.base .. 'prioritized') > 0 then wake(queue) end
return 'ok'
