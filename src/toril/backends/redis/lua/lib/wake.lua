-- wake: tell a sleeping worker that there may be something to take, unless nothing may be taken.
local function is_blocked(queue)
  if queue.paused then return true end
  return queue.concurrency ~= nil
    and redis.call('LLEN', queue.base .. 'active') >= queue.concurrency
end

local function wake(queue)
  if not is_blocked(queue) then redis.call('ZADD', queue.base .. 'marker', '0', '0') end
end
