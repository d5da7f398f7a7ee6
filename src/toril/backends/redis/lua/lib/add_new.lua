-- add_new: give a new job its id and add it; false if its id is taken.
local function add_new(queue, job)
  local counter = redis.call('INCR', queue.base .. 'id')
  settle_meta(queue)
  local id = job.id or string.format('%.0f', counter)
  if job.id and redis.call('EXISTS', queue.base .. id) == 1 then
    emit(queue, 'duplicated', 'jobId', id)
    return id, false
  end
  add_job(queue, id, job)
  return id, true
end
