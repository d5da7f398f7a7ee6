-- read_job: a job whole, as `replies.py` reads it; false if it is gone.
local function read_job(queue, id, state)
  local key = queue.base .. id
  local job = redis.call('HMGET', key, 'name', 'data', 'opts', 'priority', 'timestamp', 'delay',
    'atm', 'ats', 'stc', 'progress', 'returnvalue', 'failedReason', 'processedOn', 'finishedOn',
    'pb', 'defa', 'toril:cancel', 'toril:history', 'stacktrace')
  if not job[1] then return false end
  job[20], job[21], job[22], job[23] = id, state, false, false
  if state == 'delayed' then
    local score = redis.call('ZSCORE', queue.base .. 'delayed', id)
    if score then job[22] = math.floor(score / 4096) end
  elseif state == 'active' then
    job[23] = remaining(queue, key .. ':lock')
  end
  return job
end
