-- promote_due: put up to `limit` delayed jobs whose time has come at the end of their line.
local function promote_until(queue, score, limit)
  local key = queue.base .. 'delayed'
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', score, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    redis.call('ZREM', key, id)
    local priority = tonumber(redis.call('HGET', queue.base .. id, 'priority')) or 0
    line_up(queue, id, priority, false)
    emit(queue, 'waiting', 'jobId', id, 'prev', 'delayed')
    redis.call('HSET', queue.base .. id, 'delay', 0)
  end
  if #ids > 0 then wake(queue) end
  return #ids
end

local function promote_due(queue)
  return promote_until(queue, (queue.now_ms + 1) * 4096 - 1, 1000)
end
