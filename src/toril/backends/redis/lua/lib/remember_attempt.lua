-- remember_attempt: append an attempt to the job's history, of which the newest 50 stay.
--
-- One line each: when it ended, then a JSON object (`engine/job.py`, Attempt). Of attempts in a row that
-- no worker had a task for only the newest stays: a job may wait for one through hundreds of them.
local UNKNOWN = '"unknownSinceMs":'

local function remember_attempt(queue, id, line, ended_ms)
  local key = queue.base .. id
  local history = redis.call('HGET', key, 'toril:history')
  line = string.format('%.0f ', ended_ms) .. line
  if history and string.find(line, UNKNOWN, 1, true) then
    local before, last = string.match(history, '^(.*)\n([^\n]*)$')
    if string.find(last or history, UNKNOWN, 1, true) then history = before end
  end
  if history then
    local _, lines = string.gsub(history, '\n', '\n')
    if lines >= 49 then history = string.sub(history, string.find(history, '\n', 1, true) + 1) end
    line = history .. '\n' .. line
  end
  redis.call('HSET', key, 'toril:history', line)
end
