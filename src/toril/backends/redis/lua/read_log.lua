-- read_log: lines of a job's log.
--
-- KEYS
--   meta   hash    <prefix>:<queue>:meta
-- ARGV
--   id     string
--   start  int     lines to pass over
--   limit  int     lines
--   order  string  forth: oldest first; back: newest first
-- RETURNS
--   {lines, how many there are} | {} if there is no such job
-- EMITS
--   nothing
-- COST
--   O(limit)
local key = string.sub(KEYS[1], 1, -5) .. ARGV[1]
if redis.call('HEXISTS', key, 'name') == 0 then return {} end
local start, limit, lines = tonumber(ARGV[2]), tonumber(ARGV[3]), {}
if limit > 0 and ARGV[4] == 'back' then
  local found = redis.call('LRANGE', key .. ':logs', -(start + limit), -(start + 1))
  for index = #found, 1, -1 do lines[#lines + 1] = found[index] end
elseif limit > 0 then
  lines = redis.call('LRANGE', key .. ':logs', start, start + limit - 1)
end
return { lines, redis.call('LLEN', key .. ':logs') }
