-- deduplicate: let a new job take its de-duplication id; returns the job that holds it instead.
--
-- `job.deduplication` is a `DeduplicationRule` (engine/deduplication.py). Returns nil if the
-- new job is to be added.
local function hold(queue, key, id, hold_ms)
  if hold_ms then
    redis.call('SET', key, id, 'PXAT', queue.now_ms + hold_ms)
  else
    redis.call('SET', key, id)
  end
end

local function take_place(queue, key, holder, id, rule, hold_ms)
  redis.call('DEL', queue.base .. 'dn:' .. rule.id)  -- an older job: the new one is the last
  if hold_ms and not rule.extend then
    redis.call('SET', key, id, 'KEEPTTL')
  else
    hold(queue, key, id, hold_ms)
  end
  redis.call('ZREM', queue.base .. 'delayed', holder)
  remove_job(queue, holder)
  emit(queue, 'removed', 'jobId', holder, 'prev', 'delayed')
  emit(queue, 'deduplicated', 'jobId', id, 'deduplicationId', rule.id,
    'deduplicatedJobId', holder)
end

local function reschedule(queue, holder, job)
  local timestamp_ms = job.timestamp_ms or queue.now_ms
  local due_ms = job.run_at_ms or timestamp_ms + job.delay_ms
  redis.call('ZREM', queue.base .. 'delayed', holder)
  put_off(queue, holder, due_ms)
  try('HSET', queue.base .. holder, 'delay', math.max(0, due_ms - timestamp_ms))
  wake_at(queue)
end

-- The newest of those that came while the holder runs is added when it has finished. Who that is tells
-- a field of ours: once the id has been released, its key does not.
local function put_aside(queue, key, holder, id, job)
  local aside = queue.base .. 'dn:' .. job.deduplication.id
  redis.call('DEL', aside)
  redis.call('HSET', aside, 'name', job.name, 'data', job.data, 'opts', job.opts, 'jid', id,
    'toril:holder', holder)
  if job.run_at_ms then redis.call('HSET', aside, 'toril:runAt', job.run_at_ms) end
  redis.call('PERSIST', key)
end

local function runs(queue, id)
  if queue.ending and queue.ending[id] then return true end
  return try('LPOS', queue.base .. 'active', id)
end

local function deduplicate(queue, id, job)
  local rule = job.deduplication
  local hold_ms = not rule.keep_last_if_active and rule.ttl_ms or nil
  local key = queue.base .. 'de:' .. rule.id
  local holder = deduplication_holder(queue, rule.id)
  if not holder then
    redis.call('DEL', queue.base .. 'dn:' .. rule.id)  -- a job's that is gone
    hold(queue, key, id, hold_ms)
    return nil
  end
  local waits = try('ZSCORE', queue.base .. 'delayed', holder)
  if rule.keep_last_if_active and runs(queue, holder) then
    put_aside(queue, key, holder, id, job)
  elseif rule.replace then
    if not waits then return holder end
    take_place(queue, key, holder, id, rule, hold_ms)
    return nil
  elseif rule.extend then
    if not hold_ms and redis.call('EXISTS', queue.base .. holder) == 0 then
      redis.call('DEL', key)  -- it would hold for ever: nobody is left to let go of it
    else
      hold(queue, key, holder, hold_ms)
    end
  end
  emit(queue, 'deduplicated', 'jobId', holder, 'deduplicationId', rule.id,
    'deduplicatedJobId', id)
  if rule.reschedule and waits then reschedule(queue, holder, job) end
  return holder
end
