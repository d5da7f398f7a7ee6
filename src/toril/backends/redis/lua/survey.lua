-- survey: look over a piece of one state's line for what should not be.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   state      string
--   start      int     where in the line to begin, from 0
--   look       int     jobs to look at in this call
--   max_bytes  int     payloads above this are reported
-- RETURNS
--   {ids without a hash, ids in `active` without a lock, ids whose payload is too large, how many
--   were looked at}
-- EMITS
--   nothing
-- COST
--   3 commands a job looked at
local base, state = string.sub(KEYS[1], 1, -5), ARGV[1]
local start, look, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local is_list = state == 'wait' or state == 'active'
local ids = redis.call(is_list and 'LRANGE' or 'ZRANGE', base .. state, start, start + look - 1)
local missing, unlocked, large = {}, {}, {}
for _, id in ipairs(ids) do
  local key = base .. id
  if redis.call('HEXISTS', key, 'name') == 0 then
    missing[#missing + 1] = id
  elseif state == 'active' and redis.call('EXISTS', key .. ':lock') == 0 then
    unlocked[#unlocked + 1] = id
  end
  if redis.call('HSTRLEN', key, 'data') > max_bytes then large[#large + 1] = id end
end
return { missing, unlocked, large, #ids }
