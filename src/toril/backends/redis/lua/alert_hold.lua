-- alert_hold: take the watch, or go on holding it.
--
-- KEYS
--   watch      hash    <prefix>::toril:{alerts}:watch
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
local facts = redis.call('HMGET', KEYS[1], 'holder', 'until_ms')
if facts[1] and facts[1] ~= ARGV[2] and (number_of(facts[2]) or 0) > now_ms then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[2],
  'until_ms', string.format('%.0f', now_ms + tonumber(ARGV[3])))
return 1
