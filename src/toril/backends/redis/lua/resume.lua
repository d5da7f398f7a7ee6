-- resume: let jobs start again; jobs that Bull 4 or version 5 has set aside come back into the line.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   how many jobs are still set aside: call again
-- EMITS
--   resumed, in the last call
-- COST
--   O(jobs set aside), at most 7000 in a call
local queue = open_queue(KEYS[1], ARGV[1])
local wait, aside = queue.base .. 'wait', queue.base .. 'paused'
settle_meta(queue)
redis.call('HDEL', queue.meta, 'paused', 'toril:pausedAt', 'toril:moving')
queue.paused, queue.line = false, nil
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
redis.call('DEL', queue.base .. 'meta-paused')
if redis.call('EXISTS', wait, queue.base .. 'prioritized') > 0 then
  wake(queue)
else
  wake_at(queue)
end
emit(queue, 'resumed')
return 0
