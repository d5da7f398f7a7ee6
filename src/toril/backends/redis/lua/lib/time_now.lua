-- time_now: the time in epoch milliseconds, for scripts that are about no queue.
local function time_now(frozen_ms)
  if frozen_ms ~= '' then return tonumber(frozen_ms) end
  local clock = redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end
