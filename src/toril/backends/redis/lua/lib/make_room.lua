-- make_room: count as `*` what is new in a hash of open minutes that is full.
local MOST_FIELDS = 5000

-- 0 where the user may not ask for it.
local function length_of(key)
  local many = redis.pcall('HLEN', key)
  return type(many) == 'number' and many or 0
end

local function make_room(key, field, many)
  local others = string.match(field, '^%d+:%w+:') .. '*'
  if field ~= others and length_of(key) > MOST_FIELDS then
    redis.call('HDEL', key, field)
    redis.call('HINCRBY', key, others, many)
  end
end
