-- limit: set or lift what holds a queue back over all workers.
--
-- A rate window that has begun ends as if the new setting had begun it, if that is sooner.
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
local queue = open_queue(KEYS[1], ARGV[1])
local before_ms = queue.rate_window_ms
settle_meta(queue)
for field, value in pairs(cjson.decode(ARGV[2])) do
  if value then redis.call('HSET', queue.meta, field, value)
  else redis.call('HDEL', queue.meta, field) end
end
queue = open_queue(KEYS[1], ARGV[1])

-- When a window that has begun ends by the new setting: no later than by the old one.
local function end_of(ends_ms)
  local began_ms = before_ms and ends_ms - before_ms or queue.now_ms
  return math.min(ends_ms, began_ms + queue.rate_window_ms)
end

local limiter = queue.base .. 'limiter'
if queue.rate_window_ms and before_ms ~= queue.rate_window_ms then
  local left_ms = remaining(queue, limiter)
  if left_ms > 0 and (number_of(try('GET', limiter)) or HOLD) < HOLD then
    redis.call('PEXPIREAT', limiter, end_of(queue.now_ms + left_ms))
  end
  local starts, ends_ms = window_aside(queue)
  if starts > 0 then
    redis.call('HSET', queue.meta, 'toril:window',
      string.format('%.0f %.0f', starts, end_of(ends_ms)))
  end
end
if redis.call('EXISTS', queue.base .. 'wait', queue.base .. 'prioritized') > 0 then wake(queue) end
return 'ok'
