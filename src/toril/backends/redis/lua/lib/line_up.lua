-- line_up: put jobs in line: at the end, or (`in_front`) so that they run next, in this order.
--
-- A score in `prioritized` is priority * 2^32 + counter. In front of a priority is the place below
-- its lowest score; where that is taken, those at the bottom of its range move up by one each.
local function next_place(queue)
  local key = queue.base .. 'pc'
  local place = redis.pcall('INCR', key)
  if type(place) == 'table' then  -- no number: who comes first among equals begins anew
    blame(place)
    redis.call('DEL', key)
    place = redis.call('INCR', key)
  end
  return place % 4294967296
end

local function in_front_of_priority(queue, priority, id)
  local key = queue.base .. 'prioritized'
  local floor = priority * 4294967296
  local first = redis.call('ZRANGEBYSCORE', key, floor, floor + 4294967295, 'WITHSCORES',
    'LIMIT', 0, 1)
  local score = first[2] and tonumber(first[2]) - 1 or floor
  if score < floor then
    score = floor
    local place = floor
    local moved = {}
    while true do
      local here = redis.call('ZRANGEBYSCORE', key, place, place)
      if #here == 0 then break end
      moved[#moved + 1] = { place + 1, here }
      place = place + 1
    end
    -- The next at the end must not be given a place that is taken now.
    local counter = number_of(try('GET', queue.base .. 'pc')) or 0
    if counter < place - floor then redis.call('SET', queue.base .. 'pc', place - floor) end
    for index = #moved, 1, -1 do
      for _, member in ipairs(moved[index][2]) do
        redis.call('ZADD', key, moved[index][1], member)
      end
    end
  end
  redis.call('ZADD', key, score, id)
end

local function line_up(queue, id, priority, in_front)
  if priority == 0 then
    redis.call(in_front and 'RPUSH' or 'LPUSH', queue.base .. (queue.line or 'wait'), id)
  elseif in_front then
    in_front_of_priority(queue, priority, id)
  else
    redis.call('ZADD', queue.base .. 'prioritized', priority * 4294967296 + next_place(queue), id)
  end
end
