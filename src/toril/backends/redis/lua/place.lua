-- place: how far a job is from its start.
--
-- That is how many are ahead, and since when its queue is paused.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   limit      int     how far to look for it in a list
-- RETURNS
--   {state, jobs ahead or nil, whether there are more, paused since when in ms or nil}; nothing if
--   there is no such job
-- EMITS
--   nothing
-- COST
--   O(limit); of a paused queue 1000 events more
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local limit = tonumber(ARGV[3])
local base, state = queue.base, state_of(queue, id)
if not state then return false end

local function length(name) return try('LLEN', base .. name) or 0 end

-- How many of a list start before the job; nil: it is not there, or too far back.
local function before_in(name)
  local index = try('LPOS', base .. name, id, 'RANK', -1, 'MAXLEN', limit + 1)
  return index and length(name) - 1 - index or nil
end

-- Those that version 5 has set aside in `paused` come in front of the line at the next resume.
local function place_in_line()
  local aside = length('paused')
  if state == 'prioritized' then
    local rank = try('ZRANK', base .. 'prioritized', id)
    return rank and length('wait') + aside + rank or false, 0
  end
  local ahead = before_in('wait')
  if ahead then return ahead + aside, 0 end
  ahead = aside > 0 and before_in('paused') or nil
  if ahead then return ahead, 0 end
  -- It may be behind the last that were looked at: else it is in neither.
  if length('wait') > limit + 1 or aside > limit + 1 then return limit, 1 end
  return false, 0
end

-- BullMQ does not note when it pauses, and leaves our note when it resumes. Its events tell of both.
local function paused_since()
  local noted = number_of(try('HGET', queue.meta, 'toril:pausedAt'))
  local seen
  for _, entry in ipairs(try('XREVRANGE', queue.events_key, '+', '-', 'COUNT', 1000) or {}) do
    local at, fields = entry[1], entry[2]
    for index = 1, #fields, 2 do
      if fields[index] == 'event' then
        if fields[index + 1] == 'resumed' then return seen end
        if fields[index + 1] == 'paused' then seen = number_of(string.match(at, '^%d+')) end
      end
    end
  end
  return seen and math.max(seen, noted or 0) or noted
end

local ahead, more = false, 0
if state == 'wait' or state == 'prioritized' then ahead, more = place_in_line() end
local since = queue.paused and paused_since() or false
return { state, ahead, more, since }
