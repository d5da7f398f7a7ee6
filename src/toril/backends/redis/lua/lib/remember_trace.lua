-- remember_trace: append a stack trace to those of a job; the newest `stackTraceLimit` stay.
local function remember_trace(queue, id, trace)
  local key = queue.base .. id
  local stored = redis.call('HMGET', key, 'stacktrace', 'opts')
  local traces, limit = {}, 50
  if stored[1] and stored[1] ~= '[]' then
    for _, earlier in ipairs(decoded(stored[1]) or {}) do
      if type(earlier) == 'string' then traces[#traces + 1] = earlier end
    end
  end
  if stored[2] and string.find(stored[2], '"stackTraceLimit"', 1, true) then
    local options = decoded(stored[2]) or {}
    limit = math.max(0, math.min(limit, number_of(options.stackTraceLimit) or limit))
  end
  traces[#traces + 1] = trace
  while #traces > limit do table.remove(traces, 1) end
  redis.call('HSET', key, 'stacktrace', #traces == 0 and '[]' or cjson.encode(traces))
end
