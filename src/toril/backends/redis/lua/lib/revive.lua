-- revive: a finished job goes back in line; its parent, if it has one, waits for it again.
local function revive(queue, id, state, reset_attempts)
  local key = queue.base .. id
  local facts = redis.call('HMGET', key, 'priority', 'parentKey', 'ats', 'processedOn', 'pb',
    'finishedOn')
  if state == 'completed' and facts[4] and facts[6] then
    -- Its last success was to be seen from the fields that go now.
    remember_attempt(queue, id, cjson.encode({
      number = tonumber(facts[3]) or 0, startedMs = tonumber(facts[4]), workerId = facts[5] or '',
      outcome = 'completed',
    }), tonumber(facts[6]))
  end
  redis.call('ZREM', queue.base .. state, id)
  redis.call('HDEL', key, 'finishedOn', 'processedOn', 'failedReason', 'returnvalue', 'defa', 'toril:cancel',
    'stc')
  if reset_attempts then redis.call('HDEL', key, 'atm', 'ats') end
  line_up(queue, id, tonumber(facts[1]) or 0, false)
  if facts[2] then
    local parent, child = facts[2], key
    local was_told = redis.call('ZREM', parent .. ':unsuccessful', child)
      + redis.call('HDEL', parent .. ':failed', child)
      + redis.call('HDEL', parent .. ':processed', child)
    if was_told > 0 then redis.call('SADD', parent .. ':dependencies', child) end
  end
  emit(queue, 'waiting', 'jobId', id, 'prev', state)
end
