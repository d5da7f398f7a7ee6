-- damage_of: what is wrong with a key of a queue's own, in words; nil if nothing is.
local function kind_of(name)
  local kinds = {
    wait = 'list', active = 'list', paused = 'list', prioritized = 'zset', delayed = 'zset',
    completed = 'zset', failed = 'zset', ['waiting-children'] = 'zset', marker = 'zset',
    ['repeat'] = 'zset', meta = 'hash', ['metrics:completed'] = 'hash', ['metrics:failed'] = 'hash',
    ['metrics:completed:data'] = 'list', ['metrics:failed:data'] = 'list', events = 'stream',
    ['toril:history'] = 'hash', ['toril:history:ever'] = 'hash', ['toril:history:blocks'] = 'zset',
    ['toril:history:calendar'] = 'hash', stalled = 'set', ['stalled-check'] = 'string', limiter = 'string', id = 'string', pc = 'string',
  }
  return kinds[name]
end

local function damage_of(base, name)
  local found, kind = redis.call('TYPE', base .. name).ok, kind_of(name)
  if found == 'none' then return nil end
  if found ~= kind then return 'is a ' .. found .. ' and no ' .. kind end
  if name == 'id' or name == 'pc' or name == 'limiter' then
    local text = redis.call('GET', base .. name)
    if not number_of(text) or not string.find(text, '^%-?%d+$') then return 'is no number' end
  end
  return nil
end
