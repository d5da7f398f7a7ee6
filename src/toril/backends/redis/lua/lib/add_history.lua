-- add_history: add what was counted in minutes to the periods that they are in.
--
-- Periods of one length lie in blocks, each a hash: <place of the period>:<task> to a tally, the JSON
-- array of `engine/tally.py`. `toril:history:blocks` has each block, by when it may be removed.
local MOST_TASKS = 200  -- that are told apart; what comes then counts as `*`
local LEVELS = {
  { name = 'm', minutes = 1, periods = 1440, kept = 10080 },
  { name = 'h', minutes = 60, periods = 720, kept = 129600 },
  { name = 'd', minutes = 1440, periods = 366, kept = 1051200 },
}

local function history_key(queue, name) return queue.base .. 'toril:history:' .. name end

-- Where the period of a minute lies: a block, and its place, from 1970.
local function place_of(level, minute)
  local period = math.floor(minute / level.minutes)
  return level.name .. ':' .. string.format('%.0f', math.floor(period / level.periods)), period
end

local function new_tally() return { 0, 0, 0, 0, 0, -1, {}, {} } end

local function merge_tally(into, other)
  for index = 1, 5 do into[index] = into[index] + (other[index] or 0) end
  into[6] = math.max(into[6], other[6] or -1)
  for index = 7, 8 do
    for bucket, many in pairs(other[index] or {}) do
      bucket = tostring(bucket)
      into[index][bucket] = (into[index][bucket] or 0) + many
    end
  end
end

local function count_cell(into, what, many)
  if what == 'w' then into[4] = into[4] + many
  elseif what == 'r' then into[5] = into[5] + many
  elseif what == 'a' then into[6] = math.max(into[6], many)
  else
    local cell = tonumber(what) or 0
    local outcome = math.floor(cell / 65536) + 1
    local wait, run = math.floor(cell / 256) % 256, cell % 256
    if outcome <= 3 then into[outcome] = into[outcome] + many end
    if wait > 0 then
      local bucket = tostring(wait - 1)
      into[7][bucket] = (into[7][bucket] or 0) + many
    end
    if run > 0 then
      local bucket = tostring(run - 1)
      into[8][bucket] = (into[8][bucket] or 0) + many
    end
  end
end

local function merge_stored(key, field, counted)
  local stored = decoded(redis.call('HGET', key, field) or '')
  -- What cannot be read counts as nothing.
  if stored then despite_damage(merge_tally, counted, stored) end
  redis.call('HSET', key, field, cjson.encode(counted))
end

-- Returns a function that tells under which name a task is kept.
local function told_apart(queue)
  local key, known, new = history_key(queue, 'ever'), {}, 0
  return function(task)
    if not known[task] then
      known[task] = task
      if task ~= '' and task ~= '*' and redis.call('HEXISTS', key, '0:' .. task) == 0 then
        if length_of(key) + new < MOST_TASKS then new = new + 1
        else known[task] = '*' end
      end
    end
    return known[task]
  end
end

-- `minutes` has minute to task to a tally. `ever` is whether they count in the totals, too.
local function add_history(queue, minutes, ever)
  local sums, blocks, name_of_task = {}, {}, told_apart(queue)
  local function add(key, field, counted)
    if not sums[key] then sums[key] = {} end
    if not sums[key][field] then sums[key][field] = new_tally() end
    merge_tally(sums[key][field], counted)
  end
  for minute, tasks in pairs(minutes) do
    for task, counted in pairs(tasks) do
      task = name_of_task(task)
      if ever then add(history_key(queue, 'ever'), '0:' .. task, counted) end
      for _, level in ipairs(LEVELS) do
        local block, period = place_of(level, minute)
        local key = history_key(queue, block)
        add(key, string.format('%.0f:', period) .. task, counted)
        blocks[block] = (math.floor(period / level.periods) + 1) * level.periods * level.minutes
          + level.kept
      end
    end
  end
  for key, fields in pairs(sums) do
    for field, counted in pairs(fields) do merge_stored(key, field, counted) end
  end
  for block, until_minute in pairs(blocks) do
    redis.call('ZADD', history_key(queue, 'blocks'), string.format('%.0f', until_minute), block)
  end
end

local function forget_history(queue)
  local blocks = try('ZRANGE', history_key(queue, 'blocks'), 0, -1) or {}
  for _, block in ipairs(blocks) do redis.call('DEL', history_key(queue, block)) end
  redis.call('DEL', history_key(queue, 'blocks'), history_key(queue, 'ever'),
    history_key(queue, 'calendar'), queue.base .. 'toril:history')
end
