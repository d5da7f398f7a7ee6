-- is_scheduled: whether a job is the iteration that its scheduler waits for.
local function is_scheduled(queue, id)
  local scheduler = try('HGET', queue.base .. id, 'rjk')
  if not scheduler then return false end
  local next_ms = try('ZSCORE', queue.base .. 'repeat', scheduler)
  return next_ms and 'repeat:' .. scheduler .. ':' .. next_ms == id
end
