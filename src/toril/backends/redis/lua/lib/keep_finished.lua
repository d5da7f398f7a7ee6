-- keep_finished: apply a keep policy to one of the sets of finished jobs.
--
-- `room` is how many may go in this call beside those of the policy's surplus.
-- `ids` are the lowest of the set, in order.
local function drop_finished(queue, state, ids)
  if #ids == 0 then return 0 end
  if state == 'failed' then
    for _, id in ipairs(ids) do
      local parent = try('HGET', queue.base .. id, 'parent')
      -- Its parent would wait for ever. One that cannot be told does not keep the job.
      if parent then despite_damage(rarely().tell_parent_gone, queue, id, parent) end
    end
  end
  redis.call('ZREMRANGEBYRANK', queue.base .. state, 0, #ids - 1)
  forget_jobs(queue, ids)
  return #ids
end

local function drop_older(queue, state, age_ms, room)
  local ids = redis.call('ZRANGEBYSCORE', queue.base .. state, '-inf', ended_by(queue.now_ms - age_ms),
    'LIMIT', 0, room)
  return drop_finished(queue, state, ids)
end

local function keep_finished(queue, state, keep_count, keep_age_ms, room)
  local noted = keep_age_ms and string.format('%.0f', keep_age_ms) or false
  if noted ~= queue.keep[state] then
    -- Read by `trim`, for queues in which nothing finishes any more.
    local field = state == 'completed' and 'toril:keepCompleted' or 'toril:keepFailed'
    if noted then redis.call('HSET', queue.meta, field, noted)
    else redis.call('HDEL', queue.meta, field) end
    queue.keep[state] = noted
  end
  if keep_age_ms then drop_older(queue, state, keep_age_ms, room) end
  if keep_count and keep_count > 0 then
    local surplus = redis.call('ZCARD', queue.base .. state) - keep_count
    if surplus > 0 then
      drop_finished(queue, state,
        redis.call('ZRANGE', queue.base .. state, 0, math.min(surplus, room) - 1))
    end
  end
end
