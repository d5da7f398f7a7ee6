-- finish_in_order: put jobs into a set of finished ones, behind those that ended before them.
--
-- A score is the moment in ms; what ends in the same one is told apart by a fraction of it, so that
-- it stays in its order. (2^41 ms and 12 bits of fraction fill a double.)
local function finish_in_order(queue, state, ids, ended_ms)
  local key = queue.base .. state
  ended_ms = number_of(ended_ms) or queue.now_ms
  local last = redis.call('ZREVRANGEBYSCORE', key, string.format('(%.0f', ended_ms + 1), ended_ms,
    'WITHSCORES', 'LIMIT', 0, 1)
  local place = last[2] and (tonumber(last[2]) - ended_ms) * 4096 + 1 or 0
  local moment, words = string.format('%.0f', ended_ms), {}
  for index, id in ipairs(ids) do
    -- Exactly n/4096, in text: n * 5^12 / 10^12, in two halves that a C long of 32 bits holds, too.
    local fraction = math.min(place + index - 1, 4095) * 244140625
    local high = math.floor(fraction / 1000000)
    words[2 * index - 1] = string.format('%s.%06d%06d', moment, high, fraction - high * 1000000)
    words[2 * index] = id
  end
  in_parts(words, function(...) redis.call('ZADD', key, ...) end)
end

-- The upper bound of a range of scores for what has ended at a moment or before.
local function ended_by(moment_ms) return string.format('(%.0f', moment_ms + 1) end
