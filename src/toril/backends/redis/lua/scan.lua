-- scan: look at the next jobs of one state, and return those that may be meant.
--
-- In a sorted set it goes on behind the last job that was looked at. A list has no order of its own:
-- there the place is found again by some of the jobs that were looked at last, near where they stood
-- and then further away, one call a ring. If they are all gone it begins anew, so that no job is
-- missed.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   request    string  JSON: state, limit, max_bytes, newest_first, whole; where set: needles name,
--                      data, error, text (lower case), max_payload_bytes, since_ms, until_ms; to go
--                      on: place, and score and last in a set, or radius and marks in a list
-- RETURNS
--   {ids, jobs in the form of lib/read_job or none, places, looked at, passed over, 1 if it began anew
--   or 0; if there is more: place, score or radius, last or marks}
-- EMITS
--   nothing
-- COST
--   O(log N + limit + max_bytes); in a list at most some 10,000 ids more
local queue, want = open_queue(KEYS[1], ARGV[1]), cjson.decode(ARGV[2])
local key = queue.base .. (want.state == 'wait' and queue.line or want.state)
local RING = 5000
local again = 0

local function slice(first, last)
  if want.newest_first then return try('LRANGE', key, first, last) or {} end
  local ids = {}
  local backwards = try('LRANGE', key, -(last + 1), -(first + 1)) or {}
  for index = #backwards, 1, -1 do ids[#ids + 1] = backwards[index] end
  return ids
end

-- Where the first of the marks stands that is found no nearer than `inner` to the place and no
-- further than `outer`; nil if none does.
local function find_mark(inner, outer)
  local stands = {}
  local function note(first, last)
    first = math.max(0, first)
    if last < first then return end
    for index, id in ipairs(slice(first, last)) do stands[id] = first + index - 1 end
  end
  note(want.place - outer, want.place - inner)
  note(want.place + inner, want.place + outer)
  for _, id in ipairs(want.marks) do
    if stands[id] then return stands[id] end
  end
end

local function start_in_list()
  if not want.marks then return 0 end
  local rings = { { 0, 64 }, { 65, 1024 } }
  if want.radius > 0 then rings = { { want.radius, want.radius + RING } } end
  local outer
  for _, ring in ipairs(rings) do
    local found = find_mark(ring[1], ring[2])
    if found then return found + 1 end
    outer = ring[2]
  end
  local length = try('LLEN', key) or 0
  if want.place - outer > 0 or want.place + outer < length then return nil, outer + 1 end
  again = 1
  return 0
end

local ids, scores, start = {}, {}, 0
if want.state == 'wait' or want.state == 'active' then
  local radius
  start, radius = start_in_list()
  if not start then
    return { {}, {}, {}, 0, 0, 0, want.place, radius, cjson.encode(want.marks) }
  end
  ids = slice(start, start + want.limit)
else
  if want.last then start = start_in_set(key, want.score, want.last, want.newest_first)
  elseif want.newest_first and want.until_ms then
    start = try('ZCOUNT', key, want.until_ms + 1, '+inf') or 0
  elseif not want.newest_first and want.since_ms then
    start = try('ZCOUNT', key, '-inf', '(' .. string.format('%.0f', want.since_ms)) or 0
  end
  local found = try(want.newest_first and 'ZREVRANGE' or 'ZRANGE', key, start, start + want.limit,
    'WITHSCORES') or {}
  for index = 1, #found, 2 do
    local moment = tonumber(found[index + 1])
    if want.newest_first and want.since_ms and moment < want.since_ms
      or not want.newest_first and want.until_ms and moment >= want.until_ms + 1 then
      break
    end
    ids[#ids + 1] = found[index]
    scores[#ids] = found[index + 1]
  end
end

local function is_in(needle, text) return text and string.find(string.lower(text), needle, 1, true) end

-- JSON may write any character as an escape: a payload with one of ASCII is let through.
local function is_in_payload(needle, text)
  return is_in(needle, text) or text and string.find(text, '\\u00', 1, true)
end

local reads_data = want.data or want.text
local fields = { 'name', 'failedReason', reads_data and 'data' or nil }
local sifts = want.name or want.error or reads_data

local function may_be_meant(id)
  if not sifts then return true end
  local job = try('HMGET', queue.base .. id, unpack(fields))
  if not job then return false end
  local name, reason, data = job[1], job[2], job[3]
  if want.name and not is_in(want.name, name) then return false end
  if want.error and not is_in(want.error, reason) then return false end
  if want.data and not is_in_payload(want.data, data) then return false end
  return not want.text or is_in(want.text, id) or is_in(want.text, name)
    or is_in(want.text, reason) or is_in_payload(want.text, data)
end

local sizes = sifts or want.whole
local found, jobs, places, looked_at, passed_over = {}, {}, {}, 0, 0
local room = want.max_bytes
for index = 1, math.min(want.limit, #ids) do
  local id = ids[index]
  looked_at = index
  local size = sizes and try('HSTRLEN', queue.base .. id, 'data') or 0
  if want.max_payload_bytes and size > want.max_payload_bytes then
    passed_over = passed_over + 1
  else
    room = room - size
    if may_be_meant(id) then
      local job = not want.whole or read_job(queue, id, want.state)
      if job then
        found[#found + 1] = id
        places[#found] = index
        if want.whole then jobs[#found] = job end
      end
    end
    if room <= 0 then break end
  end
end

local answer = { found, jobs, places, looked_at, passed_over, again }
if #ids > looked_at then
  answer[7] = start + looked_at - 1
  if scores[1] then
    answer[8], answer[9] = scores[looked_at], ids[looked_at]
  else
    local marks = {}
    for _, back in ipairs({ 0, 7, 60, 400 }) do marks[#marks + 1] = ids[looked_at - back] end
    answer[8], answer[9] = 0, cjson.encode(marks)
  end
end
return answer
