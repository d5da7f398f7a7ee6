-- tell_parent: a child has finished: its parent learns the outcome, and goes on if it was the last.
local function tell_parent_done(queue, id, parent_text, value)
  local parent, home = parent_of(queue, parent_text)
  local key, child = home.base .. parent.id, queue.base .. id
  if redis.call('SREM', key .. ':dependencies', child) == 0 then return end
  if not try('HSET', key .. ':processed', child, value) then
    redis.call('SADD', key .. ':dependencies', child)
    error("the key '" .. key .. ":processed' is no hash", 0)
  end
  if redis.call('SCARD', key .. ':dependencies') == 0 then
    release_waiting_parent(home, parent.id)
  end
end

-- What a failure does to the parent is the child's option: fail it too (fpof), let it go on at once
-- (cpof), count as done and be noted (idof), or count as done (rdof). Without one it waits.
local function tell_parent_failed(queue, id, parent_text, reason)
  local parent, home = parent_of(queue, parent_text)
  local key, child = home.base .. parent.id, queue.base .. id
  if not (parent.fpof or parent.cpof or parent.idof or parent.rdof) then return end
  if redis.call('SREM', key .. ':dependencies', child) == 0 then return end
  if parent.fpof then
    redis.call('ZADD', key .. ':unsuccessful', home.now_ms, child)
    if redis.call('ZSCORE', home.base .. 'failed', parent.id) then return end
    redis.call('HSET', key, 'defa', 'child ' .. child .. ' failed')
    if redis.call('ZREM', home.base .. 'delayed', parent.id) == 1 then
      redis.call('HSET', key, 'delay', 0)
      release_parent(home, parent.id)
    else
      release_waiting_parent(home, parent.id)
    end
  elseif parent.cpof then
    redis.call('HSET', key .. ':failed', child, reason)
    release_waiting_parent(home, parent.id)
  else
    if redis.call('SCARD', key .. ':dependencies') == 0 then
      release_waiting_parent(home, parent.id)
    end
    if parent.idof then redis.call('HSET', key .. ':failed', child, reason) end
  end
end

-- tell_parent_gone: a child was removed; the parent need not wait for it any more. Whether it did.
local function tell_parent_gone(queue, id, parent_text)
  local parent, home = parent_of(queue, parent_text)
  local key, child = home.base .. parent.id, queue.base .. id
  if redis.call('SREM', key .. ':dependencies', child) == 0 then return false end
  if redis.call('SCARD', key .. ':dependencies') == 0 then
    release_waiting_parent(home, parent.id)
  end
  return true
end
