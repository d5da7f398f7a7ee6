-- advance_schedule: move a schedule on to its next slot, if the newest is the one that was seen.
--
-- KEYS
--   meta        hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms   int     epoch milliseconds in tests; empty: the server's time
--   id          string
--   slot_ms     int     the slot that was seen
--   next_ms     int     the next one; empty: it has ended
--   made        int     how many jobs it then has made
--   rest        json    list of the hash's fields and values, for one whose hash BullMQ 5 has made
--   drop_token  string  remove the job of the slot if this token holds it; empty: do not
--   missed      json    list of the fields of the event `missed`; empty: there is none
--   job...      string  as in put_schedule
-- RETURNS
--   'ok' | 'passed' | 'taken'
-- EMITS
--   added waiting delayed removed missed
-- COST
--   about 13 commands
local queue, id, slot, next_slot = open_queue(KEYS[1], ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
if newest_slot(queue, id) ~= slot then return 'passed' end
if next_slot ~= '' and redis.call('EXISTS', queue.base .. slot_job(id, next_slot)) == 1 then
  return 'taken'
end

local taken = slot_job(id, slot)
local lock = queue.base .. taken .. ':lock'
if ARGV[7] ~= '' and redis.call('GET', lock) == ARGV[7] then
  redis.call('LREM', queue.base .. 'active', -1, taken)
  redis.call('DEL', lock)
  remove_job(queue, taken)
  emit(queue, 'removed', 'jobId', taken, 'prev', 'active')
end
if ARGV[8] ~= '' then emit(queue, 'missed', unpack(cjson.decode(ARGV[8]))) end
if next_slot == '' then return 'ok' end
redis.call('ZADD', queue.base .. 'repeat', next_slot, id)
local key = schedule_key(queue, id)
if redis.call('HEXISTS', key, 'offset') == 0 then  -- it said the rest in the options of its jobs
  local rest = cjson.decode(ARGV[6])
  for index = 1, #rest, 2 do redis.call('HSETNX', key, rest[index], rest[index + 1]) end
end
redis.call('HSET', key, 'ic', ARGV[5])
add_slot_job(queue, id, next_slot, ARGV, 9)
return 'ok'
