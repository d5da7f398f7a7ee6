-- window_aside: what is left of a rate window while the queue is held, which has its key.
--
-- In the meta hash, as 'starts ends_ms'.
local HOLD = 9007199254740991  -- what a held queue's `limiter` says (spec: 2^53 - 1)

local function put_window_aside(queue)
  local key = queue.base .. 'limiter'
  local starts, left_ms = number_of(try('GET', key)) or HOLD, remaining(queue, key)
  if starts < HOLD and left_ms > 0 then
    redis.call('HSET', queue.meta, 'toril:window',
      string.format('%.0f %.0f', starts, queue.now_ms + left_ms))
  end
end

local function window_aside(queue)
  local starts, ends_ms = string.match(try('HGET', queue.meta, 'toril:window') or '',
    '^(%d+) (%d+)$')
  starts, ends_ms = number_of(starts), number_of(ends_ms)
  if starts and ends_ms and ends_ms > queue.now_ms then return starts, ends_ms end
  return 0, 0
end

-- Once nothing holds the queue any more. Returns how many have started in the window.
local function reopen_window(queue)
  local starts, ends_ms = window_aside(queue)
  redis.call('HDEL', queue.meta, 'toril:window')
  if starts > 0 then
    redis.call('SET', queue.base .. 'limiter', string.format('%.0f', starts), 'PXAT', ends_ms)
  end
  return starts
end
