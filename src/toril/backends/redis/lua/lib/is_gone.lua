-- is_gone: whether of a job that a state lists nothing is left but its id.
--
-- Of one that a lock holds a worker may still tell. A finished one may have lost its name only. A key
-- that is no hash is no job's.
local function is_gone(base, id, state)
  local key = base .. id
  -- Wake-up marks of very old versions; never a job.
  if id == '0' or string.sub(id, 1, 2) == '0:' then return false end
  local named = try('HEXISTS', key, 'name')
  if state == 'completed' or state == 'failed' then
    return not named or redis.call('EXISTS', key) == 0
  end
  return named ~= 1 and redis.call('EXISTS', key .. ':lock') == 0
end
