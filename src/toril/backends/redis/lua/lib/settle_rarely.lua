-- settle_rarely: what `settle` does with outcomes that are no plain success.
local function tell_failed(queue, job, reason, exhausted)
  emit(queue, 'failed', 'jobId', job.id, 'failedReason', reason, 'prev', 'active')
  if exhausted then
    emit(queue, 'retries-exhausted', 'jobId', job.id, 'attemptsMade', job.more.made)
  end
end

local function finish_failed(queue, job, reason, facts)
  local key = job.key
  redis.call('HSET', key, 'atm', job.more.made, 'failedReason', reason,
    'finishedOn', queue.now)
  if queue.bull then redis.call('HSET', key, 'attemptsMade', job.more.made) end
  if job.more.trace then remember_trace(queue, job.id, job.more.trace) end
  redis.call('HDEL', key, 'defa', 'toril:cancel')
  if facts[2] then
    local _, problem = despite_damage(tell_parent_failed, queue, job.id, facts[2], reason)
    if problem then
      reason = reason .. ' (its parent was not told: ' .. problem .. ')'
      redis.call('HSET', key, 'failedReason', reason)
    end
  end
  tell_failed(queue, job, reason, job.more.exhausted)
end

-- Note which failure of the job has a dead letter: the one of the attempt that began then.
local function note_letter(queue, id, keep_count)
  if keep_count == 0 then return end
  local key = queue.base .. id
  local began = redis.call('HGET', key, 'processedOn')
  if began then redis.call('HSET', key, 'toril:letter', began) end
end

-- Returns why the job fails instead, if it does.
local function go_on_later(queue, job, facts)
  local more, key = job.more, job.key
  -- Cancelled, it goes back in line: whoever takes it next fails it.
  if more.kind == 'waiting_children' and not facts[5] then return wait_for_children(queue, job) end
  if more.kind == 'retried' then
    redis.call('HSET', key, 'atm', more.made, 'failedReason', job.text)
    if queue.bull then redis.call('HSET', key, 'attemptsMade', more.made) end
    if more.trace then remember_trace(queue, job.id, more.trace) end
  end
  -- Losses of its workers count within one attempt, which has ended.
  if more.kind ~= 'released' then redis.call('HDEL', key, 'stc') end
  local due_ms = more.until_ms or queue.now_ms + (more.wait_ms or 0)
  -- Cancelled, but its worker did not hear of it in time: the next one fails it, at once.
  if due_ms > queue.now_ms and not facts[5] then
    redis.call('HSET', key, 'delay', due_ms - queue.now_ms)
    put_off(queue, job.id, due_ms)
    wake_at(queue)
    return
  end
  local priority = priority_of(redis.call('HGET', key, 'priority'))
  local in_front = more.kind == 'released' or more.in_front
  line_up(queue, job.id, priority, in_front)
  wake(queue)
  emit(queue, 'waiting', 'jobId', job.id, 'prev', 'active')
end

-- Why a job may not complete, if it may not: children are pending, or one has failed it.
local function hindrance(job)
  local failed = redis.call('ZRANGE', job.key .. ':unsuccessful', 0, 0)
  if failed[1] then return 'child ' .. failed[1] .. ' failed' end
  if redis.call('SCARD', job.key .. ':dependencies') > 0 then
    return 'job has children that have not finished'
  end
end

-- The lost outcomes whose effect is there already: the reply to them was lost, not they.
local function is_applied(queue, job)
  local facts = try('HMGET', queue.base .. job.id, 'ats', 'atm', 'finishedOn') or {}
  if not facts[1] then return job.more.keep_count == 0 end
  if tonumber(facts[1]) ~= job.more.attempt then return false end
  if try('LPOS', queue.base .. 'active', job.id) then return false end
  local finished = job.more.kind == 'completed' or job.more.kind == 'failed'
  return finished == (facts[3] and true or false)
    and (tonumber(facts[2]) or 0) == job.more.attempts_made
end

-- A job whose outcome cannot be stored fails for good, and says why. Returns false where not even that
-- can be stored: nothing is left of such a job but its id, which no list has any more.
local function fail_alone(round, job, problem)
  local queue, reason = round.queue, 'its outcome could not be stored: ' .. blame(problem)
  if not try('HSET', job.key, 'atm', job.more.made, 'failedReason', reason, 'finishedOn',
    queue.now) then
    queue.problem = "job '" .. job.id .. "' was dropped: no job lies under its key"
    return false
  end
  redis.call('HDEL', job.key, 'returnvalue', 'defa', 'toril:cancel')
  local facts = redis.call('HMGET', job.key, 'parent', 'deid', 'name')
  if facts[3] and round.ended then
    local many = #round.ended
    round.ended[many + 1], round.ended[many + 2], round.ended[many + 3] = 1, job.place, facts[3]
  end
  if facts[1] then despite_damage(tell_parent_failed, queue, job.id, facts[1], reason) end
  if facts[2] then despite_damage(free_deduplication, queue, job.id, facts[2]) end
  tell_failed(queue, job, reason, true)
  round.done.failed[#round.done.failed + 1] = job.id
  round.many.failed = round.many.failed + 1
  return true
end
