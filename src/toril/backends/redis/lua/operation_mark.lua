-- operation_mark: change what is noted of an operation, if it is in a state, and driven by somebody.
--
-- KEYS
--   operation  hash    <prefix>::toril:{operations}:<id>
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   states     string  one or more, with spaces around each
--   holder     string  who drives it; empty: whoever
--   ends       string  'yes': note when it ended
--   fields...  string  each with its value
-- RETURNS
--   1 | 0
-- EMITS
--   nothing
-- COST
--   3 commands
local facts = redis.call('HMGET', KEYS[1], 'state', 'holder')
if not facts[1] or not string.find(ARGV[2], ' ' .. facts[1] .. ' ', 1, true) then return 0 end
if ARGV[3] ~= '' and facts[2] ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if ARGV[4] == 'yes' then
  redis.call('HSET', KEYS[1], 'ended_ms', string.format('%.0f', time_now(ARGV[1])))
end
return 1
