-- alert_change: write rows and remove others.
--
-- KEYS
--   watch      hash    <prefix>::toril:{alerts}:watch
--   alert      hash    <prefix>::toril:{alerts}:alert
--   message    hash    <prefix>::toril:{alerts}:message
--   mute       hash    <prefix>::toril:{alerts}:mute
--   note       hash    <prefix>::toril:{alerts}:note
--   sample     hash    <prefix>::toril:{alerts}:sample
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   holder     string  only if this one holds the watch; empty: in any case
--   rows...    string  four each: 'put' or 'drop', which hash from 1, key, body
-- RETURNS
--   1 | 0
-- EMITS
--   nothing
-- COST
--   O(rows)
if ARGV[2] ~= '' then
  local facts = redis.call('HMGET', KEYS[1], 'holder', 'until_ms')
  if facts[1] ~= ARGV[2] or (number_of(facts[2]) or 0) <= time_now(ARGV[1]) then return 0 end
end
for at = 3, #ARGV, 4 do
  local hash = KEYS[1 + tonumber(ARGV[at + 1])]
  if ARGV[at] == 'put' then
    redis.call('HSET', hash, ARGV[at + 2], ARGV[at + 3])
  else
    redis.call('HDEL', hash, ARGV[at + 2])
  end
end
return 1
