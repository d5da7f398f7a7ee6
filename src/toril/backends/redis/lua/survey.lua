-- survey: look over a piece of one state's line for what should not be.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   state      string  also `paused`
--   start      int     where in the line to begin, from 0
--   look       int     jobs to look at in this call
-- RETURNS
--   {ids whose job is gone, ids in `active` without a lock, how many were looked at}
-- EMITS
--   nothing
-- COST
--   2 commands a job looked at
local base, state = string.sub(KEYS[1], 1, -5), ARGV[1]
local start, look = tonumber(ARGV[2]), tonumber(ARGV[3])
local is_list = state == 'wait' or state == 'active' or state == 'paused'
local ids = try(is_list and 'LRANGE' or 'ZRANGE', base .. state, start, start + look - 1) or {}
local gone, unlocked = {}, {}
for _, id in ipairs(ids) do
  if is_gone(base, id, state) then
    gone[#gone + 1] = id
  elseif state == 'active' and redis.call('EXISTS', base .. id .. ':lock') == 0 then
    unlocked[#unlocked + 1] = id
  end
end
return { gone, unlocked, #ids }
