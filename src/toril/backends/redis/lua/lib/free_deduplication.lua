-- free_deduplication: a finished job lets go of its de-duplication id, which a time may still hold.
--
-- The job that was kept aside for it meanwhile ("keep last if active") is added now.
-- With the name of a key of the queue's own as its id it would lie where that key belongs.
local function is_id(text)
  return text and text ~= '' and not string.find(text, ':', 1, true)
    and not string.find(' 0 active completed delay delayed events failed id limiter marker meta '
      .. 'paused pc prioritized priority repeat stalled stalled-check toril wait waiting-children ',
      ' ' .. text .. ' ', 1, true)
end

-- Whether a job holds an id, or did until the id was released, in which case `noted` tells: who the job
-- that is aside was put aside for. Node notes nobody.
local function is_holder(id, holder, noted)
  return (holder or noted or id) == id
end

local function free_deduplication(queue, id, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  local holder = try('GET', key)
  if holder == id and redis.call('PTTL', key) == -1 then redis.call('DEL', key) end
  local aside = queue.base .. 'dn:' .. deduplication_id
  local stored = try('HMGET', aside, 'name', 'data', 'opts', 'jid', 'toril:runAt', 'toril:holder')
  if not stored or not stored[1] or not is_holder(id, holder, stored[6]) then return end
  local number = try('INCR', queue.base .. 'id')
  local next_id = is_id(stored[4]) and stored[4] or number and string.format('%.0f', number)
  if not next_id then return end  -- neither has it an id, nor can one be given: it stays aside
  if redis.call('EXISTS', queue.base .. next_id) == 1 then  -- another job has its id meanwhile
    redis.call('DEL', aside)
    emit(queue, 'duplicated', 'jobId', next_id)
    return
  end
  -- Options that cannot be read say nothing of its place: the job that has them fails, not this one.
  local options = decoded(stored[3]) or {}
  add_job(queue, next_id, {
    name = stored[1], data = stored[2] or '{}', opts = stored[3] or '{}',
    priority = priority_of(options.priority), delay_ms = math.max(0, number_of(options.delay) or 0),
    lifo = options.lifo == true, run_at_ms = number_of(stored[5]),
  }, { 'deid', deduplication_id })
  redis.call('DEL', aside)
  redis.call('SET', key, next_id)
end

-- drop_deduplication: a job that is removed lets go of its id, time or not, and of what was aside.
local function drop_deduplication(queue, id, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  local aside = queue.base .. 'dn:' .. deduplication_id
  if is_holder(id, try('GET', key), try('HGET', aside, 'toril:holder')) then
    redis.call('DEL', key, aside)
  end
end
