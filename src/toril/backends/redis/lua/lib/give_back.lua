-- give_back: jobs that cannot be active go back to the front of the line.
local function give_back(queue, ids)
  for index = #ids, 1, -1 do redis.call('RPUSH', queue.base .. 'wait', ids[index]) end
end
