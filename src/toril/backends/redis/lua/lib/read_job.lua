-- read_job: a job whole, as `records.py` reads it; false if it is gone.
local function read_job(queue, id, state)
  local key = queue.base .. id
  local job = try('HMGET', key, 'name', 'data', 'opts', 'priority', 'timestamp', 'delay',
    'atm', 'ats', 'stc', 'progress', 'returnvalue', 'failedReason', 'processedOn', 'finishedOn',
    'pb', 'defa', 'toril:cancel', 'toril:history', 'stacktrace', 'parent', 'attemptsMade')
  if not job or not job[1] then return false end
  -- Bull 4 counts in a field of its own.
  if job[21] and (number_of(job[21]) or 0) > (number_of(job[7]) or 0) then job[7] = job[21] end
  job[21], job[22], job[23], job[24] = id, state, false, false
  if state == 'delayed' then
    local score = try('ZSCORE', queue.base .. 'delayed', id)
    -- A score may well be above 2^53; a moment is not.
    if score then job[23] = math.floor(number_of(score / 4096) or 9007199254740991) end
  elseif state == 'active' then
    job[24] = remaining(queue, key .. ':lock')
  end
  return job
end
