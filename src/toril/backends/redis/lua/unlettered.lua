-- unlettered: the jobs that failed since the last look and have no dead letter.
--
-- Failures of the present millisecond wait for the next look: more of them may come.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   limit      int     jobs to look at; others with the score of the last come too
-- RETURNS
--   {ids, score of the newest failure looked at, or '' if there was none}
-- EMITS
--   nothing
-- COST
--   O(log N) and one command a job looked at
local queue, limit = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[2])
local seen = try('HGET', queue.meta, 'toril:deadSeen')
if not seen or not number_of(seen) then seen = '0' end
local failed = queue.base .. 'failed'
local before = string.format('(%.0f', queue.now_ms)
local found = try('ZRANGEBYSCORE', failed, '(' .. seen, before, 'WITHSCORES',
  'LIMIT', 0, limit) or {}
if #found == 0 then return { {}, '' } end
local last = found[#found]
if #found == 2 * limit then
  -- The others with the last score: the next look begins behind it.
  local rest = redis.call('ZRANGEBYSCORE', failed, last, last)
  local known = {}
  for index = 1, #found, 2 do known[found[index]] = true end
  for _, id in ipairs(rest) do
    if not known[id] then
      found[#found + 1], found[#found + 2] = id, last
    end
  end
end
local ids = {}
for index = 1, #found, 2 do
  local facts = try('HMGET', queue.base .. found[index], 'name', 'processedOn', 'toril:letter')
  if facts and facts[1] and facts[2] and facts[2] ~= facts[3] then ids[#ids + 1] = found[index] end
end
return { ids, last }
