-- read_log: lines of a job's log.
--
-- KEYS
--   meta   hash    <prefix>:<queue>:meta
-- ARGV
--   id     string
--   start  int     0 is the oldest
--   limit  int     lines
-- RETURNS
--   {lines, how many there are} | {} if there is no such job
-- EMITS
--   nothing
-- COST
--   O(limit)
local key = string.sub(KEYS[1], 1, -5) .. ARGV[1]
if redis.call('HEXISTS', key, 'name') == 0 then return {} end
local start, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local lines = limit > 0 and redis.call('LRANGE', key .. ':logs', start, start + limit - 1) or {}
return { lines, redis.call('LLEN', key .. ':logs') }
