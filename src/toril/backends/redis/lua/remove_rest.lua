-- remove_rest: remove what is left of jobs that are gone.
--
-- It is log lines, locks without an end, and what a flow has noted.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   ids...     string
-- RETURNS
--   those of which something went
-- EMITS
--   nothing
-- COST
--   3 commands a job
local base, removed = string.sub(KEYS[1], 1, -5), {}
for _, id in ipairs(ARGV) do
  local key = base .. id
  if is_rest(base, id) and redis.call('DEL', key .. ':lock', key .. ':logs', key .. ':dependencies',
    key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0 then
    removed[#removed + 1] = id
  end
end
return removed
