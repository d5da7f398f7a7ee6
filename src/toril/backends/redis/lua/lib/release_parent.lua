-- release_parent: a parent whose children are done goes back in line, in its own queue.
--
-- Where that is, the child says: it may be on another node, or where this user may not go.
local function parent_of(queue, parent_text)
  local parent = decoded(parent_text)
  if not parent or type(parent.id) ~= 'string' or type(parent.queueKey) ~= 'string' then
    error("its field 'parent' cannot be read", 0)
  end
  local meta_key = parent.queueKey .. ':meta'
  if meta_key == queue.meta then return parent, queue end
  if type(redis.pcall('EXISTS', meta_key)) == 'table' then
    error("its parent's queue '" .. parent.queueKey .. "' cannot be reached", 0)
  end
  local frozen_ms = queue.event_id == '*' and '' or string.format('%.0f', queue.now_ms)
  return parent, open_queue(meta_key, frozen_ms)
end

local function release_parent(queue, id)
  local delay = try('HMGET', queue.base .. id, 'delay', 'priority')
  if not delay then return end  -- no job lies under its key
  local delay_ms, priority = number_of(delay[1]) or 0, priority_of(delay[2])
  if delay_ms > 0 then
    local due_ms = queue.now_ms + delay_ms
    redis.call('ZADD', queue.base .. 'delayed', due_ms * 4096, id)
    emit(queue, 'delayed', 'jobId', id, 'delay', string.format('%.0f', due_ms))
    wake_at(queue)
    return
  end
  line_up(queue, id, priority, priority == 0)
  redis.call('HSET', queue.base .. id, 'toril:ready', '0:-1')  -- it was not in line while it waited
  wake(queue)
  emit(queue, 'waiting', 'jobId', id, 'prev', 'waiting-children')
end

local function release_waiting_parent(queue, id)
  if redis.call('ZREM', queue.base .. 'waiting-children', id) == 1 then
    release_parent(queue, id)
  end
end
