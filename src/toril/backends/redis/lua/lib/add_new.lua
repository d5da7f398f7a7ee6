-- add_new: give a new job its id and add it.
--
-- Returns its id and whether it is new: if its id is taken, or another job holds its
-- de-duplication id, the id of that job.
local function next_number(queue)
  return string.format('%.0f', redis.call('INCR', queue.base .. 'id'))
end

-- Whether a key that is no job's lies where one would go.
local function is_occupied(queue, id)
  local kind = redis.call('TYPE', queue.base .. id).ok
  return kind ~= 'none' and kind ~= 'hash'
end

local function add_new(queue, job)
  local number = next_number(queue)
  settle_meta(queue)
  local id = job.id or number
  if job.id and redis.call('EXISTS', queue.base .. id) == 1 then
    emit(queue, 'duplicated', 'jobId', id)
    return id, false
  end
  while not job.id and is_occupied(queue, id) do id = next_number(queue) end
  if job.deduplication then
    local holder = deduplicate(queue, id, job)
    if holder then return holder, false end
    add_job(queue, id, job, { 'deid', job.deduplication.id })
  else
    add_job(queue, id, job)
  end
  return id, true
end
