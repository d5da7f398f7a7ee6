-- adopt_from_bull: have a job of Bull 4 that is being claimed look like one of the layout.
--
-- `priority` is Bull's count of who waits with which priority. It places new jobs by it, and removes
-- only those that its own workers take: left there, they put new jobs into the wrong order. Attempts
-- are in a field of its own, `attemptsMade`.
local function adopt_from_bull(queue, id, job)
  try('ZREM', queue.base .. 'priority', id)
  local made = number_of(try('HGET', queue.base .. id, 'attemptsMade')) or 0
  if made > (number_of(job[4]) or 0) then job[4] = made end
  if made > (number_of(job[5]) or 0) then
    job[5] = made
    redis.call('HSET', queue.base .. id, 'atm', made)
  end
end
