-- holders: which claims still hold their jobs.
--
-- A claim holds while its lock names it. A lock that has expired holds too, as long as nobody took
-- the job back or again: it is still in `active`, and has not been started since.
local function is_still_ours(queue, id, attempt)
  return tonumber(try('HGET', queue.base .. id, 'ats')) == attempt
    and try('LPOS', queue.base .. 'active', id)
end

local function holds(queue, id, token, attempt, lock)
  if lock then return lock == token end
  return is_still_ours(queue, id, attempt)
end
