-- settle: apply the outcomes of one queue; the places of those that came too late are returned.
--
-- `outcomes` is a list of {place, id, token, text, more}; `more` is what `requests.py` encodes:
-- {kind, attempt, attempts_made, keep_count, keep_age_ms, wait_ms, until_ms, lifo, exhausted,
-- attempt_line, trace, follow_ups}.
local REPEATED = {}

local function read_more(text)
  local more = REPEATED[text]
  if not more then
    local list = cjson.decode(text)
    more = {
      kind = list[1], attempt = list[2], attempts_made = list[3],
      made = string.format('%.0f', list[3]), keep_count = list[4],
      keep_age_ms = list[5], wait_ms = list[6], until_ms = list[7], in_front = list[8],
      exhausted = list[9], line = list[10], trace = list[11], follow_ups = list[12],
    }
    REPEATED[text] = more
  end
  return more
end

local function finish_failed(queue, job, reason, facts)
  local key = job.key
  redis.call('HSET', key, 'atm', job.more.made, 'failedReason', reason,
    'finishedOn', queue.now)
  if job.more.trace then remember_trace(queue, job.id, job.more.trace) end
  redis.call('HDEL', key, 'defa', 'toril:cancel')
  if facts[2] then tell_parent_failed(queue, job.id, facts[2], reason) end
  emit(queue, 'failed', 'jobId', job.id, 'failedReason', reason, 'prev', 'active')
  if job.more.exhausted then
    emit(queue, 'retries-exhausted', 'jobId', job.id, 'attemptsMade', job.more.made)
  end
end

local function finish_completed(queue, job, facts)
  local key = job.key
  if facts[2] then tell_parent_done(queue, job.id, facts[2], job.text) end
  redis.call('HSET', key, 'atm', job.more.made, 'returnvalue', job.text,
    'finishedOn', queue.now)
  if facts[4] or facts[5] then redis.call('HDEL', key, 'defa', 'toril:cancel') end
  emit(queue, 'completed', 'jobId', job.id, 'returnvalue', job.text, 'prev', 'active')
end

local function go_on_later(queue, job, facts)
  local more, key = job.more, job.key
  if more.kind == 'retried' then
    redis.call('HSET', key, 'atm', more.made, 'failedReason', job.text)
    if more.trace then remember_trace(queue, job.id, more.trace) end
  end
  -- Losses of its workers count within one attempt, which has ended.
  if more.kind ~= 'released' then redis.call('HDEL', key, 'stc') end
  local due_ms = more.until_ms or queue.now_ms + more.wait_ms
  -- Cancelled, but its worker did not hear of it in time: the next one fails it, at once.
  if due_ms > queue.now_ms and not facts[5] then
    redis.call('HSET', key, 'delay', due_ms - queue.now_ms)
    put_off(queue, job.id, due_ms)
    wake_at(queue)
    return
  end
  local priority = tonumber(redis.call('HGET', key, 'priority')) or 0
  local in_front = more.kind == 'released' or more.in_front
  line_up(queue, job.id, priority, in_front)
  wake(queue)
  emit(queue, 'waiting', 'jobId', job.id, 'prev', 'active')
end

-- Those whose claim still holds, in order; the places of the others.
local function sort_out(queue, outcomes)
  local keys, locks, lost, held = {}, {}, {}, {}
  for index, outcome in ipairs(outcomes) do
    outcome.key = queue.base .. outcome.id
    keys[index] = outcome.key .. ':lock'
  end
  in_parts(keys, function(...)
    for _, lock in ipairs(redis.call('MGET', ...)) do locks[#locks + 1] = lock end
  end)
  local seen, held_keys, held_ids = {}, {}, {}
  for index, outcome in ipairs(outcomes) do
    outcome.more = read_more(outcome.more_text)
    if not seen[outcome.id] and holds(queue, outcome.id, outcome.token, outcome.more.attempt,
      locks[index]) then
      seen[outcome.id] = true
      held[#held + 1] = outcome
      held_keys[#held], held_ids[#held] = keys[index], outcome.id
    else
      lost[#lost + 1] = outcome
    end
  end
  in_parts(held_keys, function(...) redis.call('DEL', ...) end)
  return held, lost, held_ids
end

-- Why a job may not complete, if it may not: children are pending, or one has failed it.
local function hindrance(job)
  local failed = redis.call('ZRANGE', job.key .. ':unsuccessful', 0, 0)
  if failed[1] then return 'child ' .. failed[1] .. ' failed' end
  if redis.call('SCARD', job.key .. ':dependencies') > 0 then
    return 'job has children that have not finished'
  end
end

-- Whether any of these jobs has children; and none of them is marked as stalled from then on.
-- Mostly there is neither, which one look tells.
local function has_children(queue, held, ids)
  local keys, many = { queue.base .. 'stalled' }, 0
  for _, job in ipairs(held) do
    if job.more.kind == 'completed' then
      keys[#keys + 1] = job.key .. ':dependencies'
      keys[#keys + 1] = job.key .. ':unsuccessful'
    end
  end
  in_parts(keys, function(...) many = many + redis.call('EXISTS', ...) end)
  if many > 0 then
    many = many - redis.call('EXISTS', keys[1])
    in_parts(ids, function(...) redis.call('SREM', keys[1], ...) end)
  end
  return many > 0
end

-- The lost outcomes whose effect is there already: the reply to them was lost, not they.
local function is_applied(queue, job)
  local facts = redis.call('HMGET', queue.base .. job.id, 'ats', 'atm', 'finishedOn')
  if not facts[1] then return job.more.keep_count == 0 end
  if tonumber(facts[1]) ~= job.more.attempt then return false end
  if redis.call('LPOS', queue.base .. 'active', job.id) then return false end
  local finished = job.more.kind == 'completed' or job.more.kind == 'failed'
  return finished == (facts[3] ~= false) and (tonumber(facts[2]) or 0) == job.more.attempts_made
end

local function settle(queue, outcomes, again, points, queues)
  local held, lost, ids = sort_out(queue, outcomes)
  local too_late = {}
  for _, job in ipairs(lost) do
    if not (again and is_applied(queue, job)) then too_late[#too_late + 1] = job.place end
  end
  local left = leave_active(queue, ids)
  queue.ending = left  -- a job whose turn has not come still runs, for whoever asks meanwhile
  local guarded = has_children(queue, held, ids)
  local done = { completed = {}, failed = {} }
  local policy, many = {}, { completed = 0, failed = 0 }
  local promoted = false
  for _, job in ipairs(held) do
    local more = job.more
    local facts = redis.call('HMGET', job.key, 'name', 'parent', 'deid', 'defa', 'toril:cancel')
    if not facts[1] or not left[job.id] then
      too_late[#too_late + 1] = job.place
    else
      left[job.id] = nil
      if more.line then remember_attempt(queue, job.id, more.line, queue.now_ms) end
      local kind, reason = more.kind, job.text
      if kind == 'completed' and guarded then
        local why = hindrance(job)
        if why then kind, reason = 'failed', why end
      end
      if kind == 'completed' or kind == 'failed' then
        settle_meta(queue)
        if facts[3] then free_deduplication(queue, job.id, facts[3]) end
        if kind == 'completed' then
          finish_completed(queue, job, facts)
        else
          finish_failed(queue, job, reason, facts)
        end
        many[kind] = many[kind] + 1
        policy[kind] = more
        if more.keep_count == 0 then
          if facts[2] then tell_parent_gone(queue, job.id, facts[2]) end
          forget_job(queue, job.id)
        else
          done[kind][#done[kind] + 1] = job.id
        end
        if kind == 'completed' and more.follow_ups then
          for _, new in ipairs(more.follow_ups) do
            local next_job = read_new_job(new[1], new[2], new[3], new[4])
            add_new(queues(next_job.queue), next_job)
          end
        end
      else
        if not promoted and kind == 'retried' then
          promote_due(queue)
          promoted = true
        end
        go_on_later(queue, job, facts)
      end
    end
  end
  for state, ids in pairs(done) do
    if many[state] > 0 then
      if #ids > 0 then finish_in_order(queue, state, ids, queue.now_ms) end
      keep_finished(queue, state, policy[state].keep_count, policy[state].keep_age_ms,
        1000 + many[state])
      count_finished(queue, state, many[state], points)
    end
  end
  if #held > 0 and queue.concurrency then wake(queue) end  -- a place became free
  return too_late, many.completed + many.failed
end
