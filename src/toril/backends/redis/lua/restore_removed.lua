-- restore_removed: put jobs that an operation has removed back where they were, oldest first.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   operation  string
--   limit      int     jobs in this call
-- RETURNS
--   {how many, how many whose id is taken, 1 if there may be more or 0}
-- EMITS
--   waiting delayed
-- COST
--   about 12 commands a job
local queue, limit = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[3])
local kept = queue.base .. 'toril:removed:' .. ARGV[2]
local found = try('LRANGE', kept, 0, limit - 1) or {}
local restored, taken = 0, 0
if #found > 0 then settle_meta(queue) end

local function put_back(id, state, score)
  if state == 'wait' then
    line_up(queue, id, 0, false)
  else
    redis.call('ZADD', queue.base .. state, score, id)
  end
  if state == 'delayed' then
    emit(queue, 'delayed', 'jobId', id, 'delay', string.format('%.0f', math.floor(score / 4096)))
  elseif state == 'wait' or state == 'prioritized' then
    emit(queue, 'waiting', 'jobId', id)
  end
end

for _, text in ipairs(found) do
  local entry = cjson.decode(text)
  local id, state, score, left_ms = entry[1], entry[2], entry[3], entry[4]
  local from, key = kept .. ':' .. id, queue.base .. id
  if redis.call('EXISTS', key) == 1 then
    taken = taken + 1
    redis.call('DEL', from, from .. ':logs', from .. ':dependencies', from .. ':processed',
      from .. ':failed', from .. ':unsuccessful')
  elseif redis.call('EXISTS', from) == 1 then
    put_back(id, state, score)
    rename_job(from, key)
    keep_job_until(key)
    local deduplication = left_ms and redis.call('HGET', key, 'deid')
    if deduplication then hold_again(queue, id, deduplication, left_ms) end
    restored = restored + 1
  end
end
if #found > 0 then
  redis.call('LTRIM', kept, #found, -1)
  wake(queue)
  wake_at(queue)
end
return { restored, taken, #found == limit and 1 or 0 }
