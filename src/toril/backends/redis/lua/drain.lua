-- drain: remove jobs in line, and those due later if asked; what a scheduler waits for stays.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   delayed    string  'yes': those due later too
--   limit      int     jobs in this call
-- RETURNS
--   how many went
-- EMITS
--   waiting delayed, of parents that went back in line
-- COST
--   about 4 commands a job
local queue, limit, removed = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[3]), 0

local function empty_list(name)
  local stays = {}
  while removed < limit do
    local ids = try('RPOP', queue.base .. name, limit - removed)
    if not ids then break end
    for _, id in ipairs(ids) do
      if is_scheduled(queue, id) then
        stays[#stays + 1] = id
      else
        remove_job(queue, id)
        removed = removed + 1
      end
    end
  end
  for index = #stays, 1, -1 do redis.call('RPUSH', queue.base .. name, stays[index]) end
end

local function empty_set(name)
  local passed = 0
  while removed < limit do
    local ids = try('ZRANGE', queue.base .. name, passed, passed + limit - removed - 1) or {}
    if #ids == 0 then break end
    for _, id in ipairs(ids) do
      if is_scheduled(queue, id) then
        passed = passed + 1
      else
        redis.call('ZREM', queue.base .. name, id)
        remove_job(queue, id)
        removed = removed + 1
      end
    end
  end
end

empty_list('wait')
empty_list('paused')
empty_set('prioritized')
if ARGV[2] == 'yes' then empty_set('delayed') end
return removed
