-- cancel_job: stop a job that has not finished: at once, or by telling the worker that runs it.
local function cancel_job(queue, id, state, reason, points)
  local key = queue.base .. id
  if state == 'active' then
    redis.call('HSET', key, 'toril:cancel', reason, 'defa', reason)
    return
  end
  finish_in_order(queue, 'failed', { id }, queue.now_ms)
  leave_state(queue, id, state)
  redis.call('HSET', key, 'failedReason', reason, 'finishedOn', queue.now_ms, 'delay', 0)
  redis.call('HDEL', key, 'defa', 'toril:cancel')
  note_problem(queue, count_finished, queue, 'failed', 1, points)
  local facts = redis.call('HMGET', key, 'parent', 'deid')
  if facts[1] then despite_damage(tell_parent_failed, queue, id, facts[1], reason) end
  if facts[2] then despite_damage(free_deduplication, queue, id, facts[2]) end
  emit(queue, 'failed', 'jobId', id, 'failedReason', reason, 'prev', state)
end
