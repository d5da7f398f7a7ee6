-- adopt_from_bull: have a job of Bull 4 that is being claimed look like one of the layout.
--
-- `priority` is Bull's count of who waits with which priority. It places new jobs by it, and removes
-- only those that its own workers take: left there, they put new jobs into the wrong order. Attempts
-- are in a field of its own, `attemptsMade`.
local function adopt_from_bull(queue, id, job)
  try('ZREM', queue.base .. 'priority', id)
  local made = number_of(try('HGET', queue.base .. id, 'attemptsMade'))
  if not made then return end
  local text = string.format('%.0f', made)
  if (number_of(job[4]) or 0) < made then job[4] = text end
  if (number_of(job[5]) or 0) < made then
    job[5] = text
    redis.call('HSET', queue.base .. id, 'atm', text)
  end
end
