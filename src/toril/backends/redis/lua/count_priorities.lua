-- count_priorities: tell how many jobs of one queue wait with each of some priorities.
--
-- KEYS
--   meta           hash    <prefix>:<queue>:meta
-- ARGV
--   priorities...  int     0 to 2097151; 0: those without one
-- RETURNS
--   a number for each, in order
-- EMITS
--   nothing
-- COST
--   O(log N) a priority
local base, found = string.sub(KEYS[1], 1, -5), {}
for index = 1, #ARGV do
  local priority = tonumber(ARGV[index])
  if priority == 0 then
    found[index] = (try('LLEN', base .. 'wait') or 0) + (try('LLEN', base .. 'paused') or 0)
  else
    -- A score is priority * 2^32 + counter (spec, section 1.4).
    local floor, above = priority * 4294967296, (priority + 1) * 4294967296
    found[index] = try('ZCOUNT', base .. 'prioritized', string.format('%.0f', floor),
      '(' .. string.format('%.0f', above)) or 0
  end
end
return found
