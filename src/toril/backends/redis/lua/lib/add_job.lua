-- add_job: store a new job and put it where it belongs.
--
-- `more` holds pairs of further hash fields. Its place comes first: where that cannot be had, nothing
-- has been written.
local function add_job(queue, id, job, more)
  local timestamp_ms = job.timestamp_ms or queue.now_ms
  local delay_ms, due_ms = job.delay_ms, nil
  if job.run_at_ms then
    delay_ms = math.max(0, job.run_at_ms - timestamp_ms)
    if job.run_at_ms > queue.now_ms then due_ms = job.run_at_ms end
  elseif delay_ms > 0 then
    due_ms = timestamp_ms + delay_ms
  end
  if due_ms then due_ms = put_off_quietly(queue, id, due_ms)
  else line_up(queue, id, job.priority, job.lifo) end
  redis.call('HSET', queue.base .. id, 'name', job.name, 'data', job.data, 'opts', job.opts,
    'timestamp', timestamp_ms, 'delay', delay_ms, 'priority', job.priority, unpack(more or {}))
  emit(queue, 'added', 'jobId', id, 'name', job.name)
  if due_ms then
    emit(queue, 'delayed', 'jobId', id, 'delay', string.format('%.0f', due_ms))
    wake_at(queue)
  else
    wake(queue)
    emit(queue, 'waiting', 'jobId', id)
  end
end
