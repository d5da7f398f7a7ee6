-- read_claimed: what a worker needs to know of a job.
local function read_claimed(queue, id)
  -- In the place of the last one comes the id: a table that grows costs as much as a command.
  return redis.call('HMGET', queue.base .. id, 'name', 'data', 'opts', 'ats', 'atm', 'timestamp',
    'defa', 'toril:ready')
end
