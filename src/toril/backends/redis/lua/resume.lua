-- resume: let jobs start again; jobs that version 5 has set aside come back into the line.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   how many jobs of version 5 are still set aside: call again
-- EMITS
--   resumed, in the last call
-- COST
--   O(jobs set aside), at most 7000 in a call
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/in_parts
-- @include lib/emit
-- @include lib/settle_meta
-- @include lib/wake
-- @include lib/wake_at
local queue = open_queue(KEYS[1], ARGV[1])
local wait, aside = queue.base .. 'wait', queue.base .. 'paused'
settle_meta(queue)
redis.call('HDEL', queue.meta, 'paused', 'toril:pausedAt', 'toril:moving')
queue.paused = false
if redis.call('EXISTS', aside) == 1 then
  if redis.call('EXISTS', wait) == 0 then
    redis.call('RENAME', aside, wait)
  else
    in_parts(redis.call('LRANGE', aside, 0, 6999), function(...) redis.call('RPUSH', wait, ...) end)
    redis.call('LTRIM', aside, 7000, -1)
    local left = redis.call('LLEN', aside)
    if left > 0 then return left end
  end
end
if redis.call('EXISTS', wait, queue.base .. 'prioritized') > 0 then
  wake(queue)
else
  wake_at(queue)
end
emit(queue, 'resumed')
return 0
