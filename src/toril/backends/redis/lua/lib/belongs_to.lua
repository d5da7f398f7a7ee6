-- belongs_to: the state that a job which is in none should be in, and since or until when.
--
-- What has not ended runs again: better twice than never. One that was put off is due by its last
-- start or, if it never started, by when it was added.
local function belongs_to(queue, id)
  local key = queue.base .. id
  local facts = redis.call('HMGET', key, 'finishedOn', 'returnvalue', 'failedReason', 'processedOn',
    'timestamp', 'delay', 'priority')
  local ended_ms = number_of(facts[1])
  if ended_ms and facts[2] then return 'completed', math.floor(ended_ms) end
  if ended_ms and facts[3] then return 'failed', math.floor(ended_ms) end
  if (try('SCARD', key .. ':dependencies') or 0) > 0 then
    return 'waiting-children', queue.now_ms
  end
  local due_ms = (number_of(facts[4]) or number_of(facts[5]) or 0) + (number_of(facts[6]) or 0)
  if due_ms > queue.now_ms then return 'delayed', math.floor(due_ms) end
  return priority_of(facts[7]) == 0 and 'wait' or 'prioritized', queue.now_ms
end
