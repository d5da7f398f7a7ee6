-- operation_take: drive an operation that runs and that no other process drives.
--
-- KEYS
--   operation  hash    <prefix>::toril:{operations}:<id>
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   holder     string
--   lease_ms   int
-- RETURNS
--   1 | 0
-- EMITS
--   nothing
-- COST
--   3 commands
local now_ms = time_now(ARGV[1])
local facts = redis.call('HMGET', KEYS[1], 'state', 'holder', 'until_ms')
if facts[1] ~= 'running' then return 0 end
if facts[2] ~= ARGV[2] and (number_of(facts[3]) or 0) > now_ms then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[2],
  'until_ms', string.format('%.0f', now_ms + tonumber(ARGV[3])))
return 1
