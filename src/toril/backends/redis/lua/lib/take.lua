-- take: lease the next jobs of one queue to one worker.
--
-- Returns in how many ms to ask again, if something is known to become ready then; and the jobs.
local HOLD = 9007199254740991  -- what a held queue's `limiter` says (spec: 2^53 - 1)

-- Whether a queue has none of what most queues mostly have not: one look in place of four.
local function is_plain(queue)
  return redis.call('EXISTS', queue.base .. 'delayed', queue.base .. 'limiter',
    queue.base .. 'prioritized', queue.base .. 'pc') == 0
end

local function allowed(queue, claim, limit, plain)
  local key = queue.base .. 'limiter'
  local rate = queue.rate_limit or claim.rate_limit
  local used = not plain and tonumber(redis.call('GET', key)) or 0
  if used > 0 then
    local left_ms = remaining(queue, key)
    if left_ms > 0 then
      if used >= (rate or HOLD) or used >= HOLD then return 0, left_ms end
    else
      -- The last millisecond of a window: what starts in it belongs to the next one, and would go
      -- uncounted with this key. (Without an end it is none of a window's: it limits nobody.)
      if redis.call('PTTL', key) ~= -1 then redis.call('DEL', key) end
      used = 0
    end
  end
  if rate then limit = math.min(limit, rate - used) end
  if queue.concurrency then
    limit = math.min(limit, queue.concurrency - redis.call('LLEN', queue.base .. 'active'))
  end
  return limit, nil
end

local function pop(queue, limit, plain)
  local ids = {}
  while #ids < limit do
    local popped = redis.call('RPOP', queue.base .. 'wait', limit - #ids)
    if not popped then break end
    for _, id in ipairs(popped) do
      -- Wake-up marks of very old versions; never a job.
      if id ~= '0' and string.sub(id, 1, 2) ~= '0:' then ids[#ids + 1] = id end
    end
  end
  if #ids < limit and not plain
    and redis.call('EXISTS', queue.base .. 'prioritized', queue.base .. 'pc') > 0 then
    local popped = redis.call('ZPOPMIN', queue.base .. 'prioritized', limit - #ids)
    for index = 1, #popped, 2 do ids[#ids + 1] = popped[index] end
    if #ids < limit then redis.call('DEL', queue.base .. 'pc') end
  end
  return ids
end

local function count_starts(queue, claim, starts)
  local key = queue.base .. 'limiter'
  if starts == 0 then return end
  if redis.call('INCRBY', key, starts) == starts then
    -- With a limit of the worker's, the window is the worker's too (spec, section 3.9).
    local window_ms = claim.rate_limit and claim.rate_window_ms or queue.rate_window_ms or 1000
    redis.call('PEXPIREAT', key, queue.now_ms + window_ms)
  end
end

local function read_claimed(queue, id)
  -- The last one only makes room for the id: a table that grows costs as much as a command.
  return redis.call('HMGET', queue.base .. id, 'name', 'data', 'opts', 'ats', 'atm', 'timestamp',
    'defa', 'name')
end

local function start(queue, id, token, lease_end, worker)
  local key = queue.base .. id
  local job = read_claimed(queue, id)
  if not job[1] then return nil end
  local attempt = job[4] and string.format('%.0f', (tonumber(job[4]) or 0) + 1) or '1'
  redis.call('SET', key .. ':lock', token, 'PXAT', lease_end)
  if worker == '' then
    redis.call('HSET', key, 'processedOn', queue.now, 'ats', attempt)
  else
    redis.call('HSET', key, 'processedOn', queue.now, 'ats', attempt, 'pb', worker)
  end
  emit(queue, 'active', 'jobId', id, 'prev', 'waiting')
  job[4], job[8] = attempt, id
  return job
end

local function take(queue, claim, room, token, worker)
  local plain, jobs = is_plain(queue), {}
  local due_ms = not plain and promote_due(queue) or nil
  if queue.paused then return nil, jobs end
  local limit, wait_ms = allowed(queue, claim, math.min(claim.limit, room), plain)
  if wait_ms then return wait_ms, jobs end
  local ids = limit > 0 and pop(queue, limit, plain) or {}
  if #ids > 0 then
    in_parts(ids, function(...) redis.call('LPUSH', queue.base .. 'active', ...) end)
    -- Even until the holder says that it has begun (`renew`).
    local starts, lease_end = 0, queue.now_ms + claim.lease_ms
    lease_end = string.format('%.0f', lease_end - lease_end % 2)
    for _, id in ipairs(ids) do
      local job = start(queue, id, token, lease_end, worker)
      if job then
        jobs[#jobs + 1] = job
        if not job[7] then starts = starts + 1 end
      else  -- its hash is gone: nothing is left of it but the id
        redis.call('LREM', queue.base .. 'active', 1, id)
      end
    end
    -- So that one wake-up reaches as many sleepers as there is work for; and while some jobs are
    -- delayed, one more of them knows until when. With neither it would only wake us again.
    if #ids == limit or due_ms then redis.call('ZADD', queue.base .. 'marker', '0', '0') end
    if queue.rate_limit or claim.rate_limit then
      count_starts(queue, claim, starts)
      local _, left_ms = allowed(queue, claim, 1, false)
      if left_ms then return left_ms, jobs end
    end
  end
  return due_ms, jobs
end

-- take_again: jobs that an earlier exchange claimed whose reply never arrived.
--
-- Each on its own: they need not have been claimed together.
local function take_again(queue, place, tokens, claimed)
  local many = 0
  for _, id in ipairs(redis.call('LRANGE', queue.base .. 'active', 0, -1)) do
    local lock = redis.call('GET', queue.base .. id .. ':lock')
    if lock and tokens[lock] then
      local job = read_claimed(queue, id)
      job[8] = id
      local started = redis.call('HGET', queue.base .. id, 'processedOn')
      claimed[#claimed + 1] = { place, lock, started, { job } }
      many = many + 1
    end
  end
  return many
end
