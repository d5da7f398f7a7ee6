-- belongs_to: the state that a job which is in none should be in, and since or until when.
--
-- What has not ended runs again: better twice than never. One that was put off is due by its last
-- start or, if it never started, by when it was added. One whose fields cannot be read would only be
-- in the way again: it has failed. The third answer is why.
local function unreadable(parent, opts)
  local above = parent and decoded(parent) or {}
  if parent and (type(above.id) ~= 'string' or type(above.queueKey) ~= 'string') then
    return "its field 'parent' cannot be read"
  end
  if opts and not decoded(opts) then return "its field 'opts' cannot be read" end
  return nil
end

local function belongs_to(queue, id)
  local key = queue.base .. id
  local facts = redis.call('HMGET', key, 'finishedOn', 'returnvalue', 'failedReason', 'processedOn',
    'timestamp', 'delay', 'priority', 'parent', 'opts')
  local ended_ms = number_of(facts[1])
  if ended_ms and facts[2] then return 'completed', math.floor(ended_ms) end
  if ended_ms and facts[3] then return 'failed', math.floor(ended_ms) end
  local why = unreadable(facts[8], facts[9])
  if why then return 'failed', queue.now_ms, why end
  if (try('SCARD', key .. ':dependencies') or 0) > 0 then
    return 'waiting-children', queue.now_ms
  end
  local due_ms = (number_of(facts[4]) or number_of(facts[5]) or 0) + (number_of(facts[6]) or 0)
  if due_ms > queue.now_ms then return 'delayed', math.floor(due_ms) end
  return priority_of(facts[7]) == 0 and 'wait' or 'prioritized', queue.now_ms
end
