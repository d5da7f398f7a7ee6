-- put_schedule: make a schedule, or replace one, with the job of its next slot.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   seen_ms    int     its newest slot when the caller looked; empty: there was none
--   next_ms    int     its newest slot from now on
--   beside     json    what BullMQ cannot say; empty: nothing
--   declared   json    which code declares it; empty: none
--   fields     json    list of the hash's fields and values
--   job...     string  none: it has no job; else name, data, opts, priority, 'yes' for lifo, due_ms,
--                      timestamp_ms
-- RETURNS
--   'ok' | 'passed' | 'taken'
-- EMITS
--   added waiting delayed removed
-- COST
--   about 20 commands; O(N) if its last job is in `wait`
local queue, id, seen, slot = open_queue(KEYS[1], ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local newest = newest_slot(queue, id)
if (newest or '') ~= seen then return 'passed' end

local before = newest and slot_job(id, newest)
local state = before and state_of(queue, before)
local waits = state == 'wait' or state == 'prioritized' or state == 'delayed'
local target = slot_job(id, slot)
if ARGV[8] and redis.call('EXISTS', queue.base .. target) == 1
  and not (waits and before == target) then
  return 'taken'
end
if waits then
  leave_state(queue, before, state)
  remove_job(queue, before)
  if not ARGV[8] then emit(queue, 'removed', 'jobId', before, 'prev', state) end
end
redis.call('ZADD', queue.base .. 'repeat', slot, id)
redis.call('DEL', schedule_key(queue, id))
redis.call('HSET', schedule_key(queue, id), unpack(cjson.decode(ARGV[7])))
if ARGV[5] == '' then redis.call('HDEL', beside_key(queue), id)
else redis.call('HSET', beside_key(queue), id, ARGV[5]) end
if ARGV[6] == '' then redis.call('HDEL', declared_key(queue), id)
else redis.call('HSET', declared_key(queue), id, ARGV[6]) end
if ARGV[8] then add_slot_job(queue, id, slot, ARGV, 8) end
return 'ok'
