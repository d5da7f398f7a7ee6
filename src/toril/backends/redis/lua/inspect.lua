-- inspect: tell which keys of a queue's own hold what does not belong there.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   names...   string  of the keys, as they stand behind the queue's
-- RETURNS
--   {name, what is wrong with it} of each
-- EMITS
--   nothing
-- COST
--   1 or 2 commands a name
local base, found = string.sub(KEYS[1], 1, -5), {}
for _, name in ipairs(ARGV) do
  local problem = damage_of(base, name)
  if problem then found[#found + 1] = { name, problem } end
end
return found
