-- page: some jobs of one state or of several, in the order in which they will run or have ended.
--
-- A page begins behind the last job of the one before. If that is gone: in a set behind the place
-- where it stood, in a list, which has no order of its own, where it stood counted from the start.
--
-- A state whose key holds something else lists none; the doctor says so.
--
-- KEYS
--   meta          hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms     int     epoch milliseconds in tests; empty: the server's time
--   states        string  one or more, with spaces between; the page begins in the first
--   limit         int     jobs
--   newest_first  string  'yes' or 'no'
--   place         int     how many came before; 0 for the first page
--   score         string  of the last job of the page before; empty in a list
--   last          string  its id; empty for the first page
-- RETURNS
--   {jobs in the form of lib/read_job, those that are gone left out; if there are more, the state
--   in which they begin, and place, score and id of the last one before them in it}
-- EMITS
--   nothing
-- COST
--   O(log N + limit + states); in a list some 2,000 ids more, 0.2 ms, and O(place) if it has moved by
--   more than 20,000 jobs since the page before, or if its last job is gone
local queue = open_queue(KEYS[1], ARGV[1])
local limit, newest_first = tonumber(ARGV[3]), ARGV[4] == 'yes'
local place, score, last = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local NEAR, FAR = 1000, 20000  -- jobs by which a line may have moved meanwhile, as a rule; and often

-- Some ids of a list, as they follow each other from the side where the page begins.
local function slice(key, first, to)
  if newest_first then return try('LRANGE', key, first, to) or {} end
  local backwards, ids = try('LRANGE', key, -(to + 1), -(first + 1)) or {}, {}
  for index = #backwards, 1, -1 do ids[#ids + 1] = backwards[index] end
  return ids
end

local function find(key, first, to)
  for index, id in ipairs(to < 0 and {} or slice(key, math.max(0, first), to)) do
    if id == last then return math.max(0, first) + index - 1 end
  end
end

-- The last job is looked for where it was, then where it may have moved to: jobs leave a line at its
-- head, and come in at its end. Only then by LPOS, which walks there job by job: 8 ms for a million.
local function start_in_list(key)
  local index = find(key, place - NEAR, place + NEAR)
  if not index and newest_first then index = find(key, place + NEAR, place + FAR) end
  if not index and not newest_first then index = find(key, place - FAR, place - NEAR) end
  if index then return index + 1 end
  local rank = newest_first and 1 or -1
  local found = try('LPOS', key, last, 'RANK', rank, 'MAXLEN', place + NEAR)
  if not found then return math.max(0, place - 1) end
  return newest_first and found + 1 or redis.call('LLEN', key) - found
end

-- Where to begin in a state, and the ids from there on: one more than there is room for, if there is.
local function look(state, room)
  local key, ids, scores, start = queue.base .. (state == 'wait' and queue.line or state), {}, {}, 0
  if state == 'wait' or state == 'active' then
    if last ~= '' then start = start_in_list(key) end
    return start, slice(key, start, start + room), scores
  else
    if last ~= '' then start = start_in_set(key, score, last, newest_first) end
    local found = try(newest_first and 'ZREVRANGE' or 'ZRANGE', key, start, start + room,
      'WITHSCORES') or {}
    for index = 1, #found, 2 do
      ids[#ids + 1] = found[index]
      scores[#ids] = found[index + 1]
    end
  end
  return start, ids, scores
end

local jobs, room = {}, limit
for state in string.gmatch(ARGV[2], '%S+') do
  local start, ids, scores = look(state, room)
  for index = 1, math.min(room, #ids) do
    local job = read_job(queue, ids[index], state)
    if job then jobs[#jobs + 1] = job end
  end
  if #ids > room then
    return { jobs, { state, start + room, scores[room] or '', ids[room] or '' } }
  end
  room, last = room - #ids, ''
end
return { jobs }
