-- add_new: give a new job its id and add it.
--
-- Returns its id and whether it is new: if its id is taken, or another job holds its
-- de-duplication id, the id of that job.
local function add_new(queue, job)
  local counter = redis.call('INCR', queue.base .. 'id')
  settle_meta(queue)
  local id = job.id or string.format('%.0f', counter)
  if job.id and redis.call('EXISTS', queue.base .. id) == 1 then
    emit(queue, 'duplicated', 'jobId', id)
    return id, false
  end
  if job.deduplication then
    local holder = deduplicate(queue, id, job)
    if holder then return holder, false end
    add_job(queue, id, job, { 'deid', job.deduplication.id })
  else
    add_job(queue, id, job)
  end
  return id, true
end
