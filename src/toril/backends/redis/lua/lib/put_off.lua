-- put_off: put a job into `delayed`, behind those that are due in the same millisecond.
--
-- A score is the due time in ms * 4096 plus a tie-break of 0 to 4095 (it stays below 2^53).
local LATEST_MS = 8640000000000000  -- the last moment that JavaScript can tell

-- Returns the moment, or the nearest that there is.
local function put_off_quietly(queue, id, due_ms)
  local key = queue.base .. 'delayed'
  due_ms = due_ms == due_ms and math.max(0, math.min(due_ms, LATEST_MS)) or queue.now_ms
  local low = due_ms * 4096
  local high = low + 4095
  local last = redis.call('ZREVRANGEBYSCORE', key, high, low, 'WITHSCORES', 'LIMIT', 0, 1)
  local score = low
  if last[2] then score = math.min(tonumber(last[2]) + 1, high) end
  redis.call('ZADD', key, score, id)
  return due_ms
end

local function put_off(queue, id, due_ms)
  due_ms = put_off_quietly(queue, id, due_ms)
  emit(queue, 'delayed', 'jobId', id, 'delay', string.format('%.0f', due_ms))
end
