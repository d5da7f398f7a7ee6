-- settle: apply the outcomes of one queue, each whole, whatever is wrong with another.
--
-- `outcomes` is a list of {place, id, token, text, more_text}; `more` is what `requests.py` encodes
-- (_Outcome), without what is at its default.
local REPEATED = {}

local function read_more(text)
  local more = REPEATED[text]
  if not more then
    more = cjson.decode(text)
    more.made = string.format('%.0f', more.attempts_made)
    REPEATED[text] = more
  end
  return more
end

local function finish_completed(queue, job, facts)
  local key = job.key
  if facts[2] then rarely().tell_parent_done(queue, job.id, facts[2], job.text) end
  redis.call('HSET', key, 'atm', job.more.made, 'returnvalue', job.text,
    'finishedOn', queue.now)
  if facts[4] or facts[5] then redis.call('HDEL', key, 'defa', 'toril:cancel') end
  emit(queue, 'completed', 'jobId', job.id, 'returnvalue', job.text, 'prev', 'active')
end

-- Those whose claim still holds, in order, their ids and their locks; and the others. It only reads.
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
  return held, lost, held_ids, held_keys
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
    -- Marks that are no set are none; the next check makes its own.
    in_parts(ids, function(...)
      if not try('SREM', keys[1], ...) then redis.call('DEL', keys[1]) end
    end)
  end
  return many > 0
end

-- Remember how an attempt ended, for the history.
local function note_end(round, outcome, job, name)
  local ended = round.ended
  if ended then
    local many = #ended
    ended[many + 1], ended[many + 2], ended[many + 3] = outcome, job.place, name
  end
end

-- Apply one outcome. Returns false if it came too late.
--
-- `round` is what is gathered of all.
local function settle_one(round, job)
  local queue, more = round.queue, job.more
  local facts = redis.call('HMGET', job.key, 'name', 'parent', 'deid', 'defa', 'toril:cancel')
  if not facts[1] or not round.left[job.id] then return false end
  round.left[job.id] = nil
  if more.line then rarely().remember_attempt(queue, job.id, more.line, queue.now_ms) end
  local kind, reason = more.kind, job.text
  if kind == 'completed' and round.guarded then
    local why = rarely().hindrance(job)
    if why then kind, reason = 'failed', why end
  end
  if kind ~= 'completed' and kind ~= 'failed' then
    if not round.promoted and kind == 'retried' then
      rarely().promote_due(queue)
      round.promoted = true
    end
    local why = rarely().go_on_later(queue, job, facts)
    if not why then
      if kind == 'retried' then note_end(round, 2, job, facts[1]) end
      return true
    end
    kind, reason = 'failed', why
  end
  settle_meta(queue)
  if facts[3] then rarely().free_deduplication(queue, job.id, facts[3]) end
  -- Of a failure that is its dead letter. A success that turned into a failure adds nothing.
  local follow_ups = kind == more.kind and more.follow_ups and rarely().follow_ups_of(round, more)
  if kind == 'completed' then
    finish_completed(queue, job, facts)
  else
    rarely().finish_failed(queue, job, reason, facts)
  end
  if more.keep_count == 0 then
    if facts[2] then despite_damage(rarely().tell_parent_gone, queue, job.id, facts[2]) end
    rarely().forget_job(queue, job.id)
  else
    local done = round.done[kind]
    done[#done + 1] = job.id
  end
  round.many[kind] = round.many[kind] + 1
  note_end(round, kind == 'completed' and 0 or 1, job, facts[1])
  round.policy[kind] = more
  if follow_ups then
    rarely().add_follow_ups(round, follow_ups)
    if kind == 'failed' then rarely().note_letter(queue, job.id, more.keep_count) end
  end
  return true
end

-- Apply those behind `round.at`. If it raises, that is the one that cannot be applied: to guard each on
-- its own would cost each something.
local function settle_each(round, held, too_late)
  for index = round.at + 1, #held do
    round.at = index
    if not settle_one(round, held[index]) then too_late[#too_late + 1] = held[index].place end
  end
end

-- What ended is stored by now, job by job. Where a key of the queue's own holds something else, a job
-- is not in its list, which the doctor mends, or is not counted.
local function put_in_order(round)
  local queue = round.queue
  for state, ids in pairs(round.done) do
    local many, policy = round.many[state], round.policy[state]
    if many > 0 then
      if #ids > 0 then note_problem(queue, finish_in_order, queue, state, ids, queue.now_ms) end
      if policy then
        note_problem(queue, keep_finished, queue, state, policy.keep_count, policy.keep_age_ms,
          1000 + many)
      end
      note_problem(queue, count_finished, queue, state, many, round.points)
    end
  end
end

-- The places of those that came too late go into `too_late`; returns how many have ended. If it
-- raises, nothing has been changed.
local function settle(queue, outcomes, again, points, queues, too_late, runs)
  local held, lost, ids, locks = sort_out(queue, outcomes)
  local late = {}
  for _, job in ipairs(lost) do
    if not (again and rarely().is_applied(queue, job)) then late[#late + 1] = job.place end
  end
  local left = leave_active(queue, ids)
  for _, place in ipairs(late) do too_late[#too_late + 1] = place end
  in_parts(locks, function(...) redis.call('DEL', ...) end)
  queue.ending = left  -- a job whose turn has not come still runs, for whoever asks meanwhile
  local round = {
    queue = queue, queues = queues, points = points, left = left,
    guarded = has_children(queue, held, ids), done = { completed = {}, failed = {} },
    policy = {}, many = { completed = 0, failed = 0 }, promoted = false, at = 0,
    ended = queue.history and {}, runs = runs,
  }
  repeat
    local settled, problem = pcall(settle_each, round, held, too_late)
    if not settled then
      local job = held[round.at]
      if not rarely().fail_alone(round, job, problem) then too_late[#too_late + 1] = job.place end
    end
  until settled
  put_in_order(round)
  local ended = round.ended
  if ended and #ended > 0 then note_problem(queue, tally, queue, ended, runs) end
  if #held > 0 and queue.concurrency then wake(queue) end  -- a place became free
  return round.many.completed + round.many.failed
end
