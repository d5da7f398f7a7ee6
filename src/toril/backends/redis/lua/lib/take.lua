-- take: lease the next jobs of one queue to one worker.
--
-- Returns in how many ms to ask again, if something is known to become ready then; and the jobs.
local HOLD_STARTS = 9007199254740991  -- what a held queue's `limiter` says (spec: 2^53 - 1)

local function allowed(queue, claim, limit, plain)
  local key = queue.base .. 'limiter'
  local rate = queue.rate_limit or claim.rate_limit
  local used = not plain and number_of(try('GET', key)) or 0
  if used > 0 then
    local left_ms = remaining(queue, key)
    if left_ms > 0 then
      if used >= (rate or HOLD_STARTS) or used >= HOLD_STARTS then return 0, left_ms end
    else
      -- The last millisecond of a window: what starts in it belongs to the next one, and would go
      -- uncounted with this key. (Without an end it is none of a window's: it limits nobody.)
      if redis.call('PTTL', key) ~= -1 then redis.call('DEL', key) end
      used = 0
    end
  end
  if rate and used == 0 and try('HEXISTS', queue.meta, 'toril:window') == 1 then
    used = rarely().reopen_window(queue)
    if used >= rate then return 0, remaining(queue, key) end
  end
  if rate then limit = math.min(limit, rate - used) end
  if queue.concurrency then
    limit = math.min(limit, queue.concurrency - redis.call('LLEN', queue.base .. 'active'))
  end
  return math.floor(limit), nil
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
    local popped = try('ZPOPMIN', queue.base .. 'prioritized', limit - #ids) or {}
    for index = 1, #popped, 2 do ids[#ids + 1] = popped[index] end
    if #ids < limit then redis.call('DEL', queue.base .. 'pc') end
  end
  return ids
end

local function start(queue, id, token, lease_end, worker)
  local key = queue.base .. id
  local job = read_claimed(queue, id)
  if not job[1] then return nil end
  if string.find(id, '[\128-\255]') then rarely().check_id(id) end
  if queue.bull then rarely().adopt_from_bull(queue, id, job) end
  local attempt = job[4] and string.format('%.0f', (number_of(job[4]) or 0) + 1) or '1'
  redis.call('SET', key .. ':lock', token, 'PXAT', lease_end)
  if worker == '' then
    redis.call('HSET', key, 'processedOn', queue.now, 'ats', attempt)
  else
    redis.call('HSET', key, 'processedOn', queue.now, 'ats', attempt, 'pb', worker)
  end
  emit(queue, 'active', 'jobId', id, 'prev', 'waiting')
  if job[8] then job[9] = job[8] end  -- of delayed ones only
  job[4], job[8] = attempt, id
  return job
end

-- Start those behind `batch.at`, which then is the one that cannot be started, if it raises.
local function start_each(queue, batch)
  local ids, jobs = batch.ids, batch.jobs
  for index = batch.at + 1, #ids do
    batch.at = index
    local job = start(queue, ids[index], batch.token, batch.lease_end, batch.worker)
    if job then
      jobs[#jobs + 1] = job
      if not job[7] then batch.starts = batch.starts + 1 end
    else  -- its hash is gone: nothing is left of it but the id
      redis.call('LREM', queue.base .. 'active', 1, ids[index])
    end
  end
end

-- The jobs go into `jobs`: those that have started are the worker's, whatever else goes wrong.
local function take(queue, claim, room, token, worker, jobs)
  -- Most queues have none of these: one look in place of four.
  local plain = redis.call('EXISTS', queue.base .. 'delayed', queue.base .. 'limiter',
    queue.base .. 'prioritized', queue.base .. 'pc') == 0
  local due_ms = not plain and note_problem(queue, rarely().promote_due, queue) or nil
  if queue.paused then return nil end
  local limit, wait_ms = allowed(queue, claim, math.min(claim.limit, room), plain)
  if wait_ms then return wait_ms end
  local ids = limit > 0 and pop(queue, limit, plain) or {}
  if #ids > 0 then
    local moved, problem = pcall(in_parts, ids,
      function(...) redis.call('LPUSH', queue.base .. 'active', ...) end)
    if not moved then
      rarely().give_back(queue, ids)
      error(problem, 0)
    end
    -- Even until the holder says that it has begun (`renew`).
    local lease_end = queue.now_ms + claim.lease_ms
    local batch = { ids = ids, at = 0, starts = 0, jobs = jobs, token = token, worker = worker,
      lease_end = string.format('%.0f', lease_end - lease_end % 2) }
    repeat
      local started, problem = pcall(start_each, queue, batch)
      if not started then
        queue.problem = "job '" .. ids[batch.at] .. "' was dropped: " .. blame(problem)
        redis.call('LREM', queue.base .. 'active', 1, ids[batch.at])
      end
    until started
    -- So that one wake-up reaches as many sleepers as there is work for; and while some jobs are
    -- delayed, one more of them knows until when. With neither it would only wake us again.
    if #ids == limit or due_ms then mark(queue, '0', '0') end
    if queue.rate_limit or claim.rate_limit then
      rarely().count_starts(queue, claim, batch.starts)
      local _, left_ms = allowed(queue, claim, 1, false)
      if left_ms then return left_ms end
    end
  end
  return due_ms
end
