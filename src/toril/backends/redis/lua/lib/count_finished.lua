-- count_finished: add to the metrics of a state: a total, and one point a minute, newest first.
local function count_finished(queue, state, many, points)
  if points == 0 then return end
  local key = queue.base .. 'metrics:' .. state
  local data = key .. ':data'
  local stored = redis.call('HMGET', key, 'count', 'prevTS', 'prevCount')
  local count, last_ms = number_of(stored[1]), number_of(stored[2])
  if not last_ms or not count then  -- a total that is no number begins anew
    redis.call('HSET', key, 'count', (count or 0) + many, 'prevTS', queue.now_ms, 'prevCount', 0)
    return
  end
  local minutes = math.min(math.floor(queue.now_ms / 60000) - math.floor(last_ms / 60000), points)
  if minutes > 0 then
    redis.call('LPUSH', data, count - (number_of(stored[3]) or 0))
    local left = minutes - 1
    while left > 0 do
      local zeros = {}
      for index = 1, math.min(left, 1000) do zeros[index] = 0 end
      redis.call('LPUSH', data, unpack(zeros))
      left = left - #zeros
    end
    redis.call('LTRIM', data, 0, points - 1)
    redis.call('HSET', key, 'prevTS', queue.now_ms, 'prevCount', count)
  end
  redis.call('HINCRBY', key, 'count', many)
end
