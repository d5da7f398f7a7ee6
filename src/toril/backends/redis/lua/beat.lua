-- beat: say that a worker lives; announce it first if its description is given.
--
-- KEYS
--   workers    hash    <prefix>::toril:{workers}: worker id to its description (JSON)
--   beats      hash    <prefix>::toril:{workers}:beats: worker id to when it was last heard of
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   report     string  'running quiet resident_bytes'
--   worker     string  JSON; empty: only if it is on the register
-- RETURNS
--   1; 0 if it is not on the register
-- EMITS
--   nothing
-- COST
--   O(1)
local now_ms = ARGV[1]
if now_ms == '' then
  local clock = redis.call('TIME')
  now_ms = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
elseif redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[2], now_ms .. ' ' .. ARGV[3])
return 1
