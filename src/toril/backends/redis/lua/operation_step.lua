-- operation_step: change some jobs of a queue, and note how far an operation has come there.
--
-- A job that cannot be changed, as a key of its queue holds something else, is refused, and the others
-- go on. A job that is removed is renamed and goes by itself after a while: nothing of it is copied.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta; of the queue, and for `move` of the other one
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   request    string  JSON: operation, after, place, looked_at, known_ms, points; to act: verb, state,
--                      reset, reason, keep_ms and, if set, until_ms
--   ids...     string
-- RETURNS
--   {version, place, done, refused, looked_at} | {} if another step was made
-- EMITS
--   waiting waiting-children failed removed delayed
-- COST
--   6 to 20 commands a job; in `wait` and `active` O(N) for each that is not near the end of the line
local queue, want = open_queue(KEYS[1], ARGV[1]), cjson.decode(ARGV[2])
local key = queue.base .. 'toril:operation:' .. want.operation
local noted = try('HMGET', key, 'version', 'done', 'refused', 'looked_at') or {}
if (number_of(noted[1]) or 0) ~= want.after then return {} end
local state, base, target = want.state, queue.base, nil
if KEYS[2] then
  target = open_queue(KEYS[2], ARGV[1])
  settle_meta(target)
end

local function until_text(span_ms) return string.format('%.0f', queue.now_ms + span_ms) end

local function is_here(id)
  if state == 'wait' then
    return try('LPOS', base .. (queue.line or 'wait'), id, 'RANK', -1)
      and redis.call('EXISTS', base .. id) == 1
  end
  if state == 'active' then
    return redis.call('EXISTS', base .. id .. ':lock') == 1 or try('LPOS', base .. 'active', id)
  end
  local score = try('ZSCORE', base .. state, id)
  if not score or redis.call('EXISTS', base .. id) == 0 then return false end
  return not want.until_ms or tonumber(score) < want.until_ms + 1
end

local function take_out(id)
  if state == 'wait' then redis.call('LREM', base .. (queue.line or 'wait'), -1, id)
  else redis.call('ZREM', base .. state, id) end
end

-- Its parent and its de-duplication id, before it goes; for how long it held that.
local function untie(id)
  local facts = redis.call('HMGET', base .. id, 'parent', 'deid')
  if facts[1] then despite_damage(tell_parent_gone, queue, id, facts[1]) end
  if not facts[2] then return false end
  local left_ms = held_for(queue, id, facts[2])
  drop_deduplication(queue, id, facts[2])
  return left_ms or false
end

local acts = {
  retry = function(id) revive(queue, id, state, want.reset) end,
  promote = function(id)
    redis.call('ZREM', base .. 'delayed', id)
    line_up(queue, id, priority_of(redis.call('HGET', base .. id, 'priority')), false)
    emit(queue, 'waiting', 'jobId', id, 'prev', 'delayed')
    redis.call('HSET', base .. id, 'delay', 0)
  end,
  cancel = function(id) cancel_job(queue, id, state, want.reason, want.points) end,
  remove = function(id)
    local score = state ~= 'wait' and redis.call('ZSCORE', base .. state, id)
    take_out(id)
    local left_ms = untie(id)
    if want.keep_ms > 0 then
      local kept = base .. 'toril:removed:' .. want.operation
      rename_job(base .. id, kept .. ':' .. id)
      keep_job_until(kept .. ':' .. id, until_text(want.keep_ms))
      redis.call('RPUSH', kept, cjson.encode({ id, state, score, left_ms }))
      redis.call('PEXPIREAT', kept, until_text(want.keep_ms))
    else
      forget_job(queue, id)
    end
    emit(queue, 'removed', 'jobId', id, 'prev', state)
  end,
  move = function(id)
    local score = state ~= 'wait' and redis.call('ZSCORE', base .. state, id)
    local there = id
    while redis.call('EXISTS', target.base .. there) == 1 do
      there = string.format('%.0f', redis.call('INCR', target.base .. 'id'))
    end
    -- Above 10^15 it was no queue's number: those of new jobs do not go on from there.
    if #there <= 15 and string.find(there, '^[1-9]%d*$')
      and tonumber(there) > (number_of(try('GET', target.base .. 'id')) or 0) then
      redis.call('SET', target.base .. 'id', there)
    end
    local facts = redis.call('HMGET', base .. id, 'priority', 'deid')
    take_out(id)
    local left_ms = untie(id)
    rename_job(base .. id, target.base .. there)
    if state == 'delayed' then
      put_off(target, there, math.floor(score / 4096))
      wake_at(target)
    elseif score and state ~= 'prioritized' then
      finish_in_order(target, state, { there }, math.floor(score))
    else
      line_up(target, there, priority_of(facts[1]), false)
      emit(target, 'waiting', 'jobId', there)
    end
    if left_ms then hold_again(target, there, facts[2], left_ms) end
    emit(queue, 'removed', 'jobId', id, 'prev', state)
  end,
}

local function may(id)
  if not is_here(id) then return false end
  if want.verb ~= 'remove' and want.verb ~= 'move' then return true end
  if is_scheduled(queue, id) then return false end
  local job = base .. id
  return want.verb == 'remove' or redis.call('HEXISTS', job, 'parentKey') == 0
    and redis.call('EXISTS', job .. ':dependencies', job .. ':processed', job .. ':failed',
      job .. ':unsuccessful') == 0
end

local done, seen = 0, {}
for index = 3, #ARGV do
  local id = ARGV[index]
  local was_done = despite_damage(function()
    if seen[id] or not may(id) then return false end
    seen[id] = true
    acts[want.verb](id)
    return true
  end)
  if was_done then done = done + 1 end
end
if done > 0 then
  if want.verb == 'retry' or want.verb == 'promote' then wake(queue) end
  if want.verb == 'move' then wake(target) end
end
local all = {
  want.after + 1, want.place, (number_of(noted[2]) or 0) + done,
  (number_of(noted[3]) or 0) + #ARGV - 2 - done, (number_of(noted[4]) or 0) + want.looked_at,
}
redis.call('HSET', key, 'version', all[1], 'place', all[2], 'done', all[3], 'refused', all[4],
  'looked_at', all[5])
redis.call('PEXPIREAT', key, until_text(want.known_ms))
return all
