-- count_elsewhere: add jobs that finished in another store to a total, and to no minute of this one.
local function count_elsewhere(queue, state, many)
  local key = queue.base .. 'metrics:' .. state
  redis.call('HINCRBY', key, 'count', many)
  redis.call('HINCRBY', key, 'prevCount', many)
  redis.call('HSETNX', key, 'prevTS', queue.now_ms)
end
