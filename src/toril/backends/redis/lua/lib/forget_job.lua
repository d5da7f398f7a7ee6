-- forget_job: delete all that belongs to a job but its lock and its place in a state.
local function forget_job(queue, id)
  local key = queue.base .. id
  redis.call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed',
    key .. ':failed', key .. ':unsuccessful')
end
