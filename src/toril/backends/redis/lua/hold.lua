-- hold: let no job of the queue start for a while, or end that; a rate window goes on meanwhile.
--
-- KEYS
--   meta         hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms    int     epoch milliseconds in tests; empty: the server's time
--   duration_ms  int     milliseconds; 0 ends it, and leaves a rate window as it is
-- RETURNS
--   'ok'
-- EMITS
--   nothing
-- COST
--   O(1)
local queue, duration_ms = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[2])
local limiter = queue.base .. 'limiter'
settle_meta(queue)
if duration_ms > 0 then
  put_window_aside(queue)
  redis.call('SET', limiter, string.format('%.0f', HOLD), 'PXAT', queue.now_ms + duration_ms)
else
  if (number_of(try('GET', limiter)) or HOLD) >= HOLD then
    redis.call('DEL', limiter)
    reopen_window(queue)
  end
  if redis.call('EXISTS', queue.base .. 'wait', queue.base .. 'prioritized') > 0 then
    wake(queue)
  end
end
return 'ok'
