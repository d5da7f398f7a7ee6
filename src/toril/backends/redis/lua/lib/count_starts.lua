-- count_starts: count what has started in a rate window, or begin one.
local function count_starts(queue, claim, starts)
  local key = queue.base .. 'limiter'
  if starts == 0 then return end
  local many = redis.pcall('INCRBY', key, starts)
  if type(many) == 'table' then  -- what was there counts nothing
    blame(many)
    redis.call('SET', key, starts)
    many = starts
  end
  if many == starts then
    -- With a limit of the worker's, the window is the worker's too (spec, section 3.9).
    local window_ms = claim.rate_limit and claim.rate_window_ms or queue.rate_window_ms or 1000
    redis.call('PEXPIREAT', key, queue.now_ms + window_ms)
  end
end
