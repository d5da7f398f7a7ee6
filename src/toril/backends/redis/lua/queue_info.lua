-- queue_info: the figures of one queue.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   {wait, prioritized, delayed, waiting-children, active, completed, failed, completed in all,
--   failed in all, age of the next job in ms, paused, concurrency, rate limit, its window in ms,
--   events, moving, starts in the rate window, what is left of it in ms, what is left of a hold in
--   ms, whether its history is written}; nothing if there is no such queue
-- EMITS
--   nothing
-- COST
--   O(1)
if redis.call('EXISTS', KEYS[1], string.sub(KEYS[1], 1, -5) .. 'id') == 0 then return false end
local queue = open_queue(KEYS[1], ARGV[1])
local base = queue.base
local function many(command, name) return try(command, base .. name) or 0 end

local waiting = many('LLEN', 'wait')
local next_id = try('LINDEX', base .. (queue.line or 'wait'), -1)
  or (try('ZRANGE', base .. 'prioritized', 0, 0) or {})[1]
local age_ms = false
if next_id then
  local timestamp_ms = number_of(try('HGET', base .. next_id, 'timestamp'))
  if timestamp_ms then age_ms = math.max(0, queue.now_ms - timestamp_ms) end
end
local starts, hold_ms = number_of(try('GET', base .. 'limiter')) or 0, 0
local window_ms = starts > 0 and remaining(queue, base .. 'limiter') or 0
if starts >= HOLD then hold_ms = window_ms end
if starts >= HOLD or starts == 0 then
  local ends_ms
  starts, ends_ms = window_aside(queue)
  window_ms = math.max(0, ends_ms - queue.now_ms)
end
if window_ms == 0 then starts = 0 end
-- Whoever waits for a job then looks at it now and then: where nothing can be told, too.
local told = queue.events
if damage_of(base, 'events') then told = 'none'
elseif told ~= 'none' and told ~= 'outcomes' then told = 'all' end
local completed, failed = many('ZCARD', 'completed'), many('ZCARD', 'failed')
local completed_total = number_of(try('HGET', base .. 'metrics:completed', 'count')) or 0
local failed_total = number_of(try('HGET', base .. 'metrics:failed', 'count')) or 0
return {
  waiting + many('LLEN', 'paused'), many('ZCARD', 'prioritized'), many('ZCARD', 'delayed'),
  many('ZCARD', 'waiting-children'), many('LLEN', 'active'),
  completed, failed, math.max(completed, completed_total), math.max(failed, failed_total),
  age_ms, queue.paused and 1 or 0, queue.concurrency or false, queue.rate_limit or false,
  queue.rate_window_ms or false, told,
  queue.paused and redis.call('HEXISTS', KEYS[1], 'toril:moving') or 0,
  starts, window_ms, hold_ms, queue.history and 1 or 0,
}
