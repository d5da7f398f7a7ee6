-- tally: count how an attempt ended, for the history; `write_tally` stores what was counted.
--
-- `counts` has a table for each task: cell (`engine/tally.py`) to how many; `w` and `r` are the sums of
-- the waits and runs in ms. `outcome` is 0 for completed, 1 for failed, 2 for retried. In the hash a
-- field is <minute>:<cell, w or r>:<task>.
local MOST_FIELDS = 5000  -- of the minutes that are open; what is new from then on counts as `*`
local ROOT_HALF = 0.7071067811865476

local function bucket_of(ms)
  if ms <= 1 then return 0 end
  local mantissa, exponent = math.frexp(ms)
  if mantissa == 0.5 then return math.min(2 * exponent - 2, 62) end
  return math.min(2 * exponent - (mantissa <= ROOT_HALF and 1 or 0), 62)
end

local function tally(counts, queue, outcome, wait_ms, task, began_ms)
  local count = counts[task]
  if not count then
    count = { w = 0, r = 0 }
    counts[task] = count
  end
  local cell = outcome * 65536
  if wait_ms and wait_ms >= 0 then
    cell = cell + (1 + bucket_of(wait_ms)) * 256
    count.w = count.w + wait_ms
  end
  began_ms = began_ms and number_of(began_ms)
  if began_ms then
    local run_ms = math.max(0, math.floor(queue.now_ms - began_ms))
    cell = cell + 1 + bucket_of(run_ms)
    count.r = count.r + run_ms
  end
  count[cell] = (count[cell] or 0) + 1
end

local function name_of(task)
  if #task > 200 or task == '' then return '*' end
  return string.find(task, '[\128-\255]') and not rarely().is_utf8(task) and '*' or task
end

-- 0 where the user may not ask for it.
local function length_of(key)
  local many = redis.pcall('HLEN', key)
  return type(many) == 'number' and many or 0
end

local function write_tally(queue, counts)
  local key, minute = queue.base .. 'toril:history', math.floor(queue.now_ms / 60000)
  for task, count in pairs(counts) do
    local name = name_of(task)
    for what, many in pairs(count) do
      if many > 0 then
        local field = string.format(what == 'w' and '%.0f:w:' or what == 'r' and '%.0f:r:'
          or '%.0f:%.0f:', minute, what)
        if redis.call('HINCRBY', key, field .. name, string.format('%.0f', many)) == many
          and length_of(key) > MOST_FIELDS and name ~= '*' then
          redis.call('HDEL', key, field .. name)
          redis.call('HINCRBY', key, field .. '*', string.format('%.0f', many))
        end
      end
    end
  end
end
