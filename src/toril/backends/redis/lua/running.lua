-- running: name the worker of each running job of one queue.
--
-- KEYS
--   meta  hash  <prefix>:<queue>:meta
-- ARGV
-- RETURNS
--   the worker's id of each; empty for one of which nobody said it
-- EMITS
--   nothing
-- COST
--   one command a running job
local base, found = string.sub(KEYS[1], 1, -5), {}
for index, id in ipairs(try('LRANGE', base .. 'active', 0, -1) or {}) do
  found[index] = try('HGET', base .. id, 'pb') or ''
end
return found
