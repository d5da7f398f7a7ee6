-- workers: the register of workers.
--
-- KEYS
--   workers    hash    <prefix>::toril:{workers}
--   beats      hash    <prefix>::toril:{workers}:beats
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   {now in epoch milliseconds, ids and descriptions, ids and beats}
-- EMITS
--   nothing
-- COST
--   O(workers)
local now_ms = ARGV[1]
if now_ms == '' then
  local clock = redis.call('TIME')
  now_ms = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
end
return { now_ms, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
