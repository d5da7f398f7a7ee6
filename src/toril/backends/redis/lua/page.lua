-- page: some jobs of one state, in the order in which they will run or have ended.
--
-- A page begins behind the last job of the one before. If that is gone: in a set behind the place
-- where it stood, in a list, which has no order of its own, where it stood counted from the start.
--
-- KEYS
--   meta          hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms     int     epoch milliseconds in tests; empty: the server's time
--   state         string
--   limit         int     jobs
--   newest_first  string  'yes' or 'no'
--   place         int     how many came before; 0 for the first page
--   score         string  of the last job of the page before; empty in a list
--   last          string  its id; empty for the first page
-- RETURNS
--   {jobs in the form of lib/read_job, those that are gone left out; place, score and id of the
--   last if there are more}
-- EMITS
--   nothing
-- COST
--   O(log N + limit); in a list O(place) more
-- @include lib/open_queue
-- @include lib/remaining
-- @include lib/read_job
local queue, state = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local limit, newest_first = tonumber(ARGV[3]), ARGV[4] == 'yes'
local place, score, last = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local key = queue.base .. state
local SLACK = 1000  -- jobs that may have come in front of the last one meanwhile

local function start_in_list()
  local rank = newest_first and 1 or -1
  local found = redis.call('LPOS', key, last, 'RANK', rank, 'MAXLEN', place + SLACK)
  if not found then return math.max(0, place - 1) end
  return newest_first and found + 1 or redis.call('LLEN', key) - found
end

local function start_in_set()
  local here = redis.call('ZSCORE', key, last)
  if here and tonumber(here) == tonumber(score) then
    return redis.call(newest_first and 'ZREVRANK' or 'ZRANK', key, last) + 1
  end
  local low, high = '-inf', '(' .. score
  if newest_first then low, high = '(' .. score, '+inf' end
  local before = redis.call('ZCOUNT', key, low, high)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, score, score, 'LIMIT', 0, 5000)) do
    if (newest_first and id > last) or (not newest_first and id < last) then before = before + 1 end
  end
  return before
end

local ids, scores, start = {}, {}, 0
if state == 'wait' or state == 'active' then
  if last ~= '' then start = start_in_list() end
  if newest_first then
    ids = redis.call('LRANGE', key, start, start + limit)
  else
    local backwards = redis.call('LRANGE', key, -(start + limit + 1), -(start + 1))
    for index = #backwards, 1, -1 do ids[#ids + 1] = backwards[index] end
  end
else
  if last ~= '' then start = start_in_set() end
  local found = redis.call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, start, start + limit,
    'WITHSCORES')
  for index = 1, #found, 2 do
    ids[#ids + 1] = found[index]
    scores[#ids] = found[index + 1]
  end
end

local jobs = {}
for index = 1, math.min(limit, #ids) do
  local job = read_job(queue, ids[index], state)
  if job then jobs[#jobs + 1] = job end
end
if #ids <= limit then return { jobs } end
return { jobs, { start + limit, scores[limit] or '', ids[limit] } }
