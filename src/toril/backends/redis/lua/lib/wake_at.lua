-- wake_at: tell sleeping workers when the earliest delayed job is due.
local function wake_at(queue)
  local first = redis.call('ZRANGE', queue.base .. 'delayed', 0, 0, 'WITHSCORES')
  if first[2] then redis.call('ZADD', queue.base .. 'marker', first[2] / 4096, '1') end
end
