-- is_rest: whether a job is gone, so that nobody needs what else lies under its key.
--
-- A lock that will expire is a worker's, who may still write. A `meta` is that of a queue: what
-- looks like parts of a job are states of it, under a prefix that begins with this queue's base.
local function is_rest(base, id)
  local key = base .. id
  return redis.call('EXISTS', key, key .. ':meta') == 0 and redis.call('PTTL', key .. ':lock') < 0
end
