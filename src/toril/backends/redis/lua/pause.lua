-- pause: let no job of the queue start; running ones go on.
--
-- Workers of Bull 4 do not know `meta`: where it is seen, the jobs are set aside as it does itself.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   moving     string  'yes': because it moves to another store; not if it is paused already
-- RETURNS
--   'ok'
-- EMITS
--   paused
-- COST
--   O(1)
local queue, moving = open_queue(KEYS[1], ARGV[1]), ARGV[2] == 'yes'
if moving and queue.paused then return 'ok' end
settle_meta(queue)
if not queue.paused then redis.call('HSET', queue.meta, 'toril:pausedAt', queue.now) end
redis.call('HSET', queue.meta, 'paused', 1)
if moving then redis.call('HSET', queue.meta, 'toril:moving', 1)
else redis.call('HDEL', queue.meta, 'toril:moving') end
if queue.bull then
  redis.call('SET', queue.base .. 'meta-paused', 1)
  local wait, aside = queue.base .. 'wait', queue.base .. 'paused'
  if redis.call('EXISTS', wait) == 1 and redis.call('EXISTS', aside) == 0 then
    redis.call('RENAME', wait, aside)
  end
end
redis.call('DEL', queue.base .. 'marker')
emit(queue, 'paused')
return 'ok'
