-- adopt_history: take rows of another store; those that are there already stay.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   level      string  m, h, d or ever
--   rows...    string  three each: place of the period from 1970, task, tally
-- RETURNS
--   'ok'
-- EMITS
--   nothing
-- COST
--   O(rows)
local queue, level = open_queue(KEYS[1], ARGV[1]), ARGV[2]
settle_meta(queue)
local ends = {}
for index = 3, #ARGV, 3 do
  local period, key = tonumber(ARGV[index]), history_key(queue, 'ever')
  for _, one in ipairs(LEVELS) do
    if one.name == level then
      local block = math.floor(period / one.periods)
      local name = string.format('%s:%.0f', level, block)
      key = history_key(queue, name)
      ends[name] = (block + 1) * one.periods * one.minutes + one.kept
    end
  end
  redis.call('HSETNX', key, string.format('%.0f:', period) .. ARGV[index + 1], ARGV[index + 2])
end
for name, until_minute in pairs(ends) do
  redis.call('ZADD', history_key(queue, 'blocks'), string.format('%.0f', until_minute), name)
end
return 'ok'
