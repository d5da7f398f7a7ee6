-- is_stray: whether a job is in no state, so that no worker will ever come to it.
--
-- A job with a group is none: BullMQ's paid edition lets it wait in lists that are not known here.
local function is_stray(base, id)
  local key = base .. id
  if try('HEXISTS', key, 'name') ~= 1 or not in_no_set(base, id) then return false end
  local opts = redis.call('HGET', key, 'opts')
  if opts and string.find(opts, '"group"', 1, true) then return false end
  for _, list in ipairs({ 'active', 'wait', 'paused' }) do
    if try('LPOS', base .. list, id) then return false end
  end
  return true
end
