-- overdue_schedules: schedules whose slot has come, and whose job has finished or is gone.
--
-- On the way what is ours of schedules that BullMQ has removed goes.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   grace_ms   int     only those whose slot came so long ago
--   start      int     where to begin, from 0
--   look       int     schedules to look at in this call
-- RETURNS
--   {where to go on, or -1 at the end, ids}
-- EMITS
--   nothing
-- COST
--   3, and 4 for each whose slot has come
local queue = open_queue(KEYS[1], ARGV[1])
local key, start, look = queue.base .. 'repeat', tonumber(ARGV[3]), tonumber(ARGV[4])

local function drop_what_is_gone(ours)
  local ids = try('HKEYS', ours) or {}
  if #ids <= (try('ZCARD', key) or 0) then return end
  for _, id in ipairs(ids) do
    if not try('ZSCORE', key, id) then redis.call('HDEL', ours, id) end
  end
end

local function is_overdue(id, slot)
  local job = try('HMGET', queue.base .. slot_job(id, slot), 'name', 'finishedOn')
  if not job or (job[1] and not job[2]) then return false end
  local beside = try('HGET', beside_key(queue), id)
  if beside and string.find(beside, '"paused":true', 1, true) then return false end
  local facts = try('HMGET', schedule_key(queue, id), 'endDate', 'name') or {}
  if not facts[2] then return false end
  local end_ms = number_of(facts[1])
  return not (end_ms and end_ms <= queue.now_ms)
end

if start == 0 then
  drop_what_is_gone(beside_key(queue))
  drop_what_is_gone(declared_key(queue))
end
local until_ms = string.format('%.0f', queue.now_ms - tonumber(ARGV[2]))
local found = try('ZRANGEBYSCORE', key, '-inf', until_ms, 'WITHSCORES', 'LIMIT', start, look) or {}
local ids = {}
for index = 1, #found, 2 do
  if is_overdue(found[index], found[index + 1]) then ids[#ids + 1] = found[index] end
end
return { #found == 2 * look and start + look or -1, ids }
