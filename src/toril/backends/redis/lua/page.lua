-- page: some jobs of one state, in the order in which they will run or have ended.
--
-- KEYS
--   meta          hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms     int     epoch milliseconds in tests; empty: the server's time
--   state         string
--   start         int     0 is the first
--   limit         int     jobs
--   newest_first  string  'yes' or 'no'
-- RETURNS
--   {jobs in the form of lib/read_job, those that are gone left out; whether there are more}
-- EMITS
--   nothing
-- COST
--   O(log N + limit); in a list O(start / 100) more
-- @include lib/open_queue
-- @include lib/read_job
local queue, state = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local start, limit, newest_first = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == 'yes'
local key = queue.base .. state
local ids
if state == 'wait' or state == 'active' then
  if newest_first then
    ids = redis.call('LRANGE', key, start, start + limit)
  else
    local backwards = redis.call('LRANGE', key, -(start + limit + 1), -(start + 1))
    ids = {}
    for index = #backwards, 1, -1 do ids[#ids + 1] = backwards[index] end
  end
else
  ids = redis.call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, start, start + limit)
end
local jobs = {}
for index = 1, math.min(limit, #ids) do
  local job = read_job(queue, ids[index], state)
  if job then jobs[#jobs + 1] = job end
end
return { jobs, #ids > limit and 1 or 0 }
