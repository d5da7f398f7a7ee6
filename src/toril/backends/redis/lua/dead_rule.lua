-- dead_rule: say where failures of a queue leave letters from now on.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   rule       string  JSON [dead-letter queue, keep_ms or null]; empty: nowhere
-- RETURNS
--   'ok'
-- EMITS
--   nothing
-- COST
--   3 commands
local queue, rule = open_queue(KEYS[1], ARGV[1]), ARGV[2]
settle_meta(queue)
if rule == '' then
  redis.call('HDEL', queue.meta, 'toril:dead', 'toril:deadSeen')
else
  redis.call('HSET', queue.meta, 'toril:dead', rule)
  redis.call('HSETNX', queue.meta, 'toril:deadSeen', queue.now)
end
return 'ok'
