-- free_deduplication: a finished job lets go of its de-duplication id, which a time may still hold.
--
-- The job that was kept aside meanwhile ("keep last if active") is added now.
local function free_deduplication(queue, id, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  if redis.call('GET', key) == id and redis.call('PTTL', key) == -1 then redis.call('DEL', key) end
  local aside = queue.base .. 'dn:' .. deduplication_id
  local stored = redis.call('HMGET', aside, 'name', 'data', 'opts', 'jid', 'toril:runAt')
  if not stored[1] then return end
  redis.call('DEL', aside)
  redis.call('INCR', queue.base .. 'id')
  if redis.call('EXISTS', queue.base .. stored[4]) == 1 then  -- another job has its id meanwhile
    emit(queue, 'duplicated', 'jobId', stored[4])
    return
  end
  local options = cjson.decode(stored[3] or '{}')
  add_job(queue, stored[4], {
    name = stored[1], data = stored[2], opts = stored[3], priority = options.priority or 0,
    delay_ms = options.delay or 0, lifo = options.lifo, run_at_ms = tonumber(stored[5]),
  }, { 'deid', deduplication_id })
  redis.call('SET', key, stored[4])
end

-- drop_deduplication: a job that is removed lets go of its id, time or not.
local function drop_deduplication(queue, id, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  if redis.call('GET', key) == id then
    redis.call('DEL', key, queue.base .. 'dn:' .. deduplication_id)
  end
end
