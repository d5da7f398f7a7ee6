-- look_for_bull: see whether Bull 4 uses a queue, and whether its producers write the marker.
--
-- Bull 4 signs nothing, so it is known by its keys: `meta-paused`, `priority`, a job without a name
-- of its own (`__default__`), or one with the options that Bull always writes. One job is looked at at
-- each end of each line. What was seen is remembered in `meta` (`toril:bull`) for a day, so that all
-- scripts know.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   remember   string  'yes' or 'no': only look
-- RETURNS
--   {1 if Bull 4 was seen within a day, else 0; the version of BullMQ or Toril that has signed the
--   queue, if one has}
-- EMITS
--   nothing
-- COST
--   about 20 commands
local DAY_MS = 86400000
local queue = open_queue(KEYS[1], ARGV[1])
local base = queue.base

local function is_bulls(id)
  local facts = id and try('HMGET', base .. id, 'name', 'opts', 'rjk')
  if not facts or not facts[1] then return false end
  if facts[1] == '__default__' then return true end
  local opts = facts[2] or ''
  for _, word in ipairs({ '"attempts":', '"delay":', '"timestamp":' }) do
    if not string.find(opts, word, 1, true) then return false end
  end
  -- BullMQ writes a moment only where it is given one: with its schedulers, say.
  return not facts[3]
end

local function is_here()
  if redis.call('EXISTS', base .. 'meta-paused', base .. 'priority') > 0 then return true end
  local newest = number_of(try('GET', base .. 'id'))
  if newest and is_bulls(string.format('%.0f', newest)) then return true end
  for _, list in ipairs({ queue.line or 'wait', 'active' }) do
    if is_bulls(try('LINDEX', base .. list, 0)) or is_bulls(try('LINDEX', base .. list, -1)) then
      return true
    end
  end
  for _, set in ipairs({ 'delayed', 'completed', 'failed' }) do
    local last = try('ZRANGE', base .. set, -1, -1)
    if last and is_bulls(last[1]) then return true end
  end
  return false
end

local remember = ARGV[2] == 'yes'
local seen_ms = number_of(queue.bull)
if is_here() then
  seen_ms = queue.now_ms
  -- Whatever is in the way, such as a full memory: it is remembered next time.
  if remember then redis.pcall('HSET', queue.meta, 'toril:bull', queue.now) end
elseif seen_ms and queue.now_ms - seen_ms > DAY_MS then
  if remember then redis.pcall('HDEL', queue.meta, 'toril:bull') end
  seen_ms = nil
end
return { seen_ms and 1 or 0, try('HGET', queue.meta, 'version') or false }
