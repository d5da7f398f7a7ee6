-- promote_due: put up to `limit` delayed jobs whose time has come at the end of their line.
local FAR_MS = 9007199254740991

local function promote_until(queue, score, limit)
  local key = queue.base .. 'delayed'
  -- Each with its score, by which the history knows since when it could run.
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', score, 'WITHSCORES', 'LIMIT', 0, limit)
  for index = 1, #ids, 2 do
    local id = ids[index]
    redis.call('ZREM', key, id)
    local facts = try('HMGET', queue.base .. id, 'name', 'priority', 'ats')
    if facts and facts[1] then  -- else its hash is gone: nothing was left of it but the id
      line_up(queue, id, priority_of(facts[2]), false)
      emit(queue, 'waiting', 'jobId', id, 'prev', 'delayed')
      redis.call('HSET', queue.base .. id, 'delay', 0, 'toril:ready',
        string.format('%.0f:%.0f', number_of(facts[3]) or 0, math.floor(ids[index + 1] / 4096)))
    end
  end
  if #ids > 0 then wake(queue) end
  return #ids / 2
end

-- Returns in how many ms the next one is due, if there is one.
local function promote_due(queue)
  local key, due = queue.base .. 'delayed', (queue.now_ms + 1) * 4096 - 1
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) <= due then
    promote_until(queue, due, 1000)
    first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  end
  if not first[2] then return nil end
  return math.max(0, math.min(math.floor(first[2] / 4096) - queue.now_ms, FAR_MS))
end
