-- state_of: where a job is; nil if there is none.
--
-- A job that is nowhere else is taken to be in `wait`: to look through that list would take as long
-- as it is.
local function state_of(queue, id)
  if try('HEXISTS', queue.base .. id, 'name') ~= 1 then return nil end
  for _, state in ipairs({ 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }) do
    if try('ZSCORE', queue.base .. state, id) then return state end
  end
  if redis.call('EXISTS', queue.base .. id .. ':lock') == 1
    or try('LPOS', queue.base .. 'active', id) then
    return 'active'
  end
  return 'wait'
end

local function leave_state(queue, id, state)
  if state == 'wait' then
    if redis.call('LREM', queue.base .. 'wait', -1, id) == 0 then
      redis.call('LREM', queue.base .. 'paused', -1, id)  -- left by version 5
    end
  elseif state == 'active' then
    redis.call('LREM', queue.base .. 'active', -1, id)
  else
    redis.call('ZREM', queue.base .. state, id)
  end
end
