-- remaining: milliseconds until a key expires; 0 if it has no end or is not there.
local function remaining(queue, key)
  if queue.event_id ~= '*' then
    -- A test's clock, by which the moment was written: the server's own says nothing.
    local at_ms = redis.call('PEXPIRETIME', key)
    return at_ms < 0 and 0 or math.max(0, at_ms - queue.now_ms)
  end
  return math.max(0, redis.call('PTTL', key))
end
