-- start_in_set: how many jobs of a sorted set come before the one behind which a listing goes on.
--
-- If that job is gone, behind the place where it stood.
local function start_in_set(key, score, last, newest_first)
  local here = try('ZSCORE', key, last)
  if here and tonumber(here) == tonumber(score) then
    return redis.call(newest_first and 'ZREVRANK' or 'ZRANK', key, last) + 1
  end
  local low, high = '-inf', '(' .. score
  if newest_first then low, high = '(' .. score, '+inf' end
  local before = try('ZCOUNT', key, low, high) or 0
  for _, id in ipairs(try('ZRANGEBYSCORE', key, score, score, 'LIMIT', 0, 5000) or {}) do
    if (newest_first and id > last) or (not newest_first and id < last) then before = before + 1 end
  end
  return before
end
