-- held_for: for how long a job still holds its de-duplication id, in ms; below 0: until it has
-- finished; nil: it holds none.
local function held_for(queue, id, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  if try('GET', key) ~= id then return nil end
  if redis.call('PTTL', key) < 0 then return -1 end
  return math.max(1, remaining(queue, key))
end

-- Let a job that comes back hold its id again, unless another one does.
local function hold_again(queue, id, deduplication_id, left_ms)
  local key = queue.base .. 'de:' .. deduplication_id
  local was_set = redis.call('SET', key, id, 'NX')
  if was_set and left_ms >= 0 then
    redis.call('PEXPIREAT', key, string.format('%.0f', queue.now_ms + left_ms))
  end
end
