-- revive: a finished job goes back in line; its parent, if it has one, waits for it again.
local function revive(queue, id, state, reset_attempts)
  local key = queue.base .. id
  local facts = try('HMGET', key, 'priority', 'parentKey', 'ats', 'processedOn', 'pb',
    'finishedOn')
  if not facts then  -- no job lies under its key: nothing is left of it but the id
    redis.call('ZREM', queue.base .. state, id)
    return
  end
  if state == 'completed' and facts[4] and facts[6] then
    -- Its last success was to be seen from the fields that go now.
    remember_attempt(queue, id, cjson.encode({
      number = number_of(facts[3]) or 0, startedMs = number_of(facts[4]) or 0,
      workerId = facts[5] or '', outcome = 'completed',
    }), number_of(facts[6]) or queue.now_ms)
  end
  local waits = (try('SCARD', key .. ':dependencies') or 0) > 0
  if waits then redis.call('ZADD', queue.base .. 'waiting-children', queue.now, id)
  else line_up(queue, id, priority_of(facts[1]), false) end
  redis.call('ZREM', queue.base .. state, id)
  redis.call('HDEL', key, 'finishedOn', 'processedOn', 'failedReason', 'returnvalue', 'defa', 'toril:cancel',
    'stc')
  if reset_attempts then
    redis.call('HDEL', key, 'atm', 'ats')
    redis.call('HSET', key, 'toril:ready', '0:-1')  -- its next start is none of a new job
  end
  if facts[2] then
    local parent, child = facts[2], key
    -- The field may say anything: what cannot be reached was not told.
    local was_told = redis.pcall('ZREM', parent .. ':unsuccessful', child) == 1
    was_told = redis.pcall('HDEL', parent .. ':failed', child) == 1 or was_told
    was_told = redis.pcall('HDEL', parent .. ':processed', child) == 1 or was_told
    if was_told then redis.pcall('SADD', parent .. ':dependencies', child) end
  end
  emit(queue, waits and 'waiting-children' or 'waiting', 'jobId', id, 'prev', state)
end
