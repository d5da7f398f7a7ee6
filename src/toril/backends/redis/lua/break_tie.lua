-- break_tie: let a child go; its parent waits for it no longer.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
-- RETURNS
--   {'ok', 1 if its parent waited for it} | {'missing'} | {'no_parent'}
-- EMITS
--   waiting delayed, of a parent that went back in line
-- COST
--   O(log N)
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local key = queue.base .. id
local facts = try('HMGET', key, 'name', 'parentKey', 'parent')
if not facts or not facts[1] then return { 'missing' } end
if not facts[2] or not facts[3] or redis.call('EXISTS', facts[2]) == 0 then return { 'no_parent' } end
local waited = tell_parent_gone(queue, id, facts[3])
redis.call('HDEL', key, 'parentKey', 'parent')
return { 'ok', waited and 1 or 0 }
