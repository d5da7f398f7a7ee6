-- restore: put jobs that are in no state where they belong; others are left alone.
--
-- Where version 5 has set jobs aside nothing is done: its resume would overwrite the line.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   ids...     string
-- RETURNS
--   {id, state} of each that was put into one
-- EMITS
--   waiting delayed waiting-children
-- COST
--   about 15 commands a job; O(jobs in `wait`) for each
local queue, placed, came = open_queue(KEYS[1], ARGV[1]), {}, {}
if redis.call('EXISTS', queue.base .. 'paused') == 1 then return placed end

local function place(id, state, moment_ms)
  local key = queue.base .. id
  if state == 'completed' or state == 'failed' then
    finish_in_order(queue, state, { id }, moment_ms)
  elseif state == 'waiting-children' then
    redis.call('ZADD', queue.base .. state, moment_ms, id)
    emit(queue, 'waiting-children', 'jobId', id)
  elseif state == 'delayed' then
    put_off(queue, id, moment_ms)
  else
    redis.call('HSET', key, 'delay', 0)
    line_up(queue, id, priority_of(redis.call('HGET', key, 'priority')), false)
    emit(queue, 'waiting', 'jobId', id)
  end
end

for index = 2, #ARGV do
  local id = ARGV[index]
  if is_stray(queue.base, id) then
    local state, moment_ms, why = belongs_to(queue, id)
    settle_meta(queue)
    if why then
      redis.call('HSET', queue.base .. id, 'failedReason', why, 'finishedOn', moment_ms)
    end
    place(id, state, moment_ms)
    placed[#placed + 1] = { id, state }
    came[state] = true
  end
end
if came.wait or came.prioritized then wake(queue) end
if came.delayed then wake_at(queue) end
return placed
