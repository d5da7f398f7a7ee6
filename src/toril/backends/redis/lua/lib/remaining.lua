-- remaining: milliseconds until a key expires; 0 if it has no end or is not there.
local function remaining(queue, key)
  local ttl_ms = redis.call('PTTL', key)
  if ttl_ms < 0 then return 0 end
  return math.max(0, ttl_ms + queue.skew_ms)
end
