-- add_log: append a line to a job's log, of which the newest stay.
--
-- KEYS
--   meta   hash    <prefix>:<queue>:meta
-- ARGV
--   id     string
--   line   string
--   keep   int     lines
-- RETURNS
--   how many lines there are; -1: there is no such job
-- EMITS
--   nothing
-- COST
--   O(1)
local key = string.sub(KEYS[1], 1, -5) .. ARGV[1]
if redis.call('HEXISTS', key, 'name') == 0 then return -1 end
local keep = tonumber(ARGV[3])
if keep == 0 then
  redis.call('DEL', key .. ':logs')
  return 0
end
redis.call('RPUSH', key .. ':logs', ARGV[2])
redis.call('LTRIM', key .. ':logs', -keep, -1)
return redis.call('LLEN', key .. ':logs')
