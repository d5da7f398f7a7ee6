-- remove_schedule: remove a schedule, and its newest job if that is delayed.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
-- RETURNS
--   1, or 0 if there was none
-- EMITS
--   removed
-- COST
--   about 8 commands
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local newest = newest_slot(queue, id)
if not newest then return 0 end
redis.call('ZREM', queue.base .. 'repeat', id)
redis.call('DEL', schedule_key(queue, id))
redis.call('HDEL', beside_key(queue), id)
redis.call('HDEL', declared_key(queue), id)
local job = slot_job(id, newest)
if redis.call('ZREM', queue.base .. 'delayed', job) == 1 then
  remove_job(queue, job)
  emit(queue, 'removed', 'jobId', job, 'prev', 'delayed')
end
return 1
