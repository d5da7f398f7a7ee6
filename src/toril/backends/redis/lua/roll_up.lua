-- roll_up: add minutes that are over to their hour and day; remove periods that are too old.
--
-- It also notes how long the next job has waited.
--
-- A server has one clock, which may be wrong. If it jumps ahead by more than a day, nothing is removed
-- for a day; the queue may also have rested for so long. If it goes back by more than a day, minutes
-- that are dated in the future are dated as of now.
--
-- KEYS
--   meta       hash  <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int   epoch milliseconds in tests; empty: the server's time
--   limit      int   counts in this call
-- RETURNS
--   {1 if there is more to do, else 0; what is wrong with a key of the history, if anything is}
-- EMITS
--   nothing
-- COST
--   O(counts of the open minutes), at most some 5000
local queue, limit = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[2])
local base, open_key = queue.base, queue.base .. 'toril:history'
local now_minute = math.floor(queue.now_ms / 60000)
local A_DAY = 1440

local function note_age()
  local next_id = try('LINDEX', base .. (queue.line or 'wait'), -1)
    or (try('ZRANGE', base .. 'prioritized', 0, 0) or {})[1]
  local timestamp_ms = next_id and number_of(try('HGET', base .. next_id, 'timestamp'))
  if not timestamp_ms then return end
  local field = string.format('%.0f:a:', now_minute)
  local age_ms = math.max(0, queue.now_ms - timestamp_ms)
  local noted = number_of(redis.call('HGET', open_key, field)) or -1
  if age_ms > noted then redis.call('HSET', open_key, field, string.format('%.0f', age_ms)) end
end

-- The counts of minutes that are over, or that lie in the future; and whether there are more.
local function closed_minutes()
  local all, minutes, gone = redis.call('HGETALL', open_key), {}, {}
  for index = 1, #all, 2 do
    local text, what, task = string.match(all[index], '^(%d+):(%w+):(.*)$')
    local minute, many = tonumber(text), number_of(all[index + 1])
    if not minute or not many then
      gone[#gone + 1] = all[index]
    elseif minute < now_minute or minute > now_minute + A_DAY then
      if #gone >= limit then
        if #gone > 0 then in_parts(gone, function(...) redis.call('HDEL', open_key, ...) end) end
        return minutes, 1
      end
      gone[#gone + 1] = all[index]
      minute = math.min(minute, now_minute)
      if not minutes[minute] then minutes[minute] = {} end
      if not minutes[minute][task] then minutes[minute][task] = new_tally() end
      count_cell(minutes[minute][task], what, many)
    end
  end
  in_parts(gone, function(...) redis.call('HDEL', open_key, ...) end)
  return minutes, 0
end

-- Date blocks of the future as of now.
local function put_right()
  local minutes = { [now_minute] = {} }
  for _, block in ipairs(redis.call('ZRANGE', history_key(queue, 'blocks'), 0, -1)) do
    local kind, number = string.match(block, '^(%l):(%d+)$')
    for _, level in ipairs(LEVELS) do
      if level.name == kind and number * level.periods * level.minutes > now_minute + A_DAY then
        local key = history_key(queue, block)
        local rows = kind == 'm' and redis.call('HGETALL', key) or {}
        for index = 1, #rows, 2 do
          local task, counted = string.match(rows[index], '^%d+:(.*)$'), decoded(rows[index + 1])
          if task and counted then
            if not minutes[now_minute][task] then minutes[now_minute][task] = new_tally() end
            despite_damage(merge_tally, minutes[now_minute][task], counted)
          end
        end
        redis.call('DEL', key)
        redis.call('ZREM', history_key(queue, 'blocks'), block)
      end
    end
  end
  add_history(queue, minutes, false)
end

-- Whether periods may be removed by the calendar of now.
local function is_believed()
  local key = history_key(queue, 'calendar')
  local seen = redis.call('HMGET', key, 'seen', 'jumped')
  local seen_minute, jumped = number_of(seen[1]), number_of(seen[2])
  if seen_minute and now_minute < seen_minute - A_DAY then put_right() end
  if jumped and (now_minute < jumped or now_minute > jumped + A_DAY) then
    redis.call('HDEL', key, 'jumped')
    jumped = nil
  elseif not jumped and seen_minute and now_minute > seen_minute + A_DAY then
    jumped = now_minute
    redis.call('HSET', key, 'jumped', string.format('%.0f', jumped))
  end
  redis.call('HSET', key, 'seen', string.format('%.0f', now_minute))
  return not jumped
end

local function remove_old()
  local key = history_key(queue, 'blocks')
  local old = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now_minute))
  for _, block in ipairs(old) do
    redis.call('DEL', history_key(queue, block))
    redis.call('ZREM', key, block)
  end
end

local function roll_up()
  if redis.call('EXISTS', open_key, history_key(queue, 'blocks')) == 0 then return 0 end
  local minutes, more = closed_minutes()
  if next(minutes) then add_history(queue, minutes, true) end
  if is_believed() then remove_old() end
  return more
end

if queue.history then note_problem(queue, note_age) end
local more = note_problem(queue, roll_up) or 0
return { more, queue.problem or false }
