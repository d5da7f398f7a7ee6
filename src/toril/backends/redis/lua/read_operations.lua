-- read_operations: what is noted of operations.
--
-- KEYS
--   operations...  hash    <prefix>::toril:{operations}:<id>
-- ARGV
--   frozen_ms      int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   for each: {body, created_ms, state, wanted, note, ended_ms, 1 if it is driven or 0}, or nothing
-- EMITS
--   nothing
-- COST
--   one command an operation
local now_ms, found = time_now(ARGV[1]), {}
for index, key in ipairs(KEYS) do
  local facts = redis.call('HMGET', key, 'body', 'created_ms', 'state', 'wanted', 'note',
    'ended_ms', 'until_ms')
  facts[7] = facts[3] == 'running' and (number_of(facts[7]) or 0) > now_ms and 1 or 0
  found[index] = facts[1] and facts or false
end
return found
