-- read_history: what the tasks of a queue did in periods of one length, and in minutes that are open.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   level      string  m, h, d or ever
--   first      int     place of the first period, from 1970
--   last       int     place of the last
--   many       int     tallies in this call: the newest periods come first
-- RETURNS
--   {open fields and their counts, rows: {place, task, tally}..., the place up to which the next call
--   goes on, or -1, whether there is any history}
-- EMITS
--   nothing
-- COST
--   O(many)
local queue = open_queue(KEYS[1], ARGV[1])
local level, first, last, many = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local rows, tasks, place = {}, {}, last

for _, field in ipairs(try('HKEYS', history_key(queue, 'ever')) or {}) do
  tasks[#tasks + 1] = string.sub(field, 3)
end
if level == 'ever' then
  local ever = try('HGETALL', history_key(queue, 'ever')) or {}
  for index = 1, #ever, 2 do
    rows[#rows + 1] = { 0, string.sub(ever[index], 3), ever[index + 1] }
  end
end

local function read_period(size)
  local fields = {}
  for index, task in ipairs(tasks) do fields[index] = string.format('%.0f:', place) .. task end
  local block = string.format('%s:%.0f', level, math.floor(place / size))
  for index, text in ipairs(try('HMGET', history_key(queue, block), unpack(fields)) or {}) do
    if text then rows[#rows + 1] = { place, tasks[index], text } end
  end
end

if level ~= 'ever' and #tasks > 0 then
  local size, numbers, read = 1, {}, 0
  for _, one in ipairs(LEVELS) do
    if one.name == level then size = one.periods end
  end
  for _, block in ipairs(try('ZRANGE', history_key(queue, 'blocks'), 0, -1) or {}) do
    local kind, number = string.match(block, '^(%l):(%d+)$')
    if kind == level then numbers[#numbers + 1] = tonumber(number) end
  end
  table.sort(numbers, function(one, other) return one > other end)
  for _, number in ipairs(numbers) do
    place = math.min(place, (number + 1) * size - 1)
    while place >= math.max(first, number * size) and read < many do
      read_period(size)
      read = read + #tasks
      place = place - 1
    end
    if read >= many then break end
  end
  if read < many then place = -1 end  -- no block is left
else
  place = -1
end
local open = try('HGETALL', queue.base .. 'toril:history') or {}
return { open, rows, place, (#tasks > 0 or #open > 0 or not queue.history) and 1 or 0 }
