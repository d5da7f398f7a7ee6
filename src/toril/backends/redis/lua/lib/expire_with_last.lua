-- expire_with_last: let a list of sessions go with the last of them.
local function expire_with_last(list)
  local last = redis.call('ZREVRANGE', list, 0, 0, 'WITHSCORES')
  if last[2] then redis.call('PEXPIREAT', list, last[2]) end
end
