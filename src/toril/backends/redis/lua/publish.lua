-- publish: append events that belong to no transition.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   events     string  JSON list of lists: the name, then fields and values
-- RETURNS
--   'ok'
-- EMITS
--   what it is given
-- COST
--   one command an event
local queue = open_queue(KEYS[1], ARGV[1])
settle_meta(queue)
for _, event in ipairs(cjson.decode(ARGV[2])) do emit(queue, unpack(event)) end
return 'ok'
