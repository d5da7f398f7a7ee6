-- wake: tell a sleeping worker that there may be something to take, unless nothing may be taken.
--
-- A marker that is no sorted set is made anew: it says nothing that has to be kept.
local function mark(queue, score, member)
  local key = queue.base .. 'marker'
  local told = redis.pcall('ZADD', key, score, member)
  if type(told) == 'table' then
    blame(told)
    redis.call('DEL', key)
    redis.call('ZADD', key, score, member)
  end
end

local function is_blocked(queue)
  if queue.paused then return true end
  return queue.concurrency ~= nil
    and (try('LLEN', queue.base .. 'active') or 0) >= queue.concurrency
end

local function wake(queue)
  if not is_blocked(queue) then mark(queue, '0', '0') end
end
