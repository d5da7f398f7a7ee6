-- wait_for_children: a running job waits for children that it has added; returns why it fails instead.
local function wait_for_children(queue, job)
  local failed = redis.call('ZRANGE', job.key .. ':unsuccessful', 0, 0)
  if failed[1] then return 'child ' .. failed[1] .. ' failed' end
  redis.call('HDEL', job.key, 'stc')  -- losses of its workers count within one attempt
  redis.call('ZADD', queue.base .. 'waiting-children', queue.now, job.id)
  emit(queue, 'waiting-children', 'jobId', job.id, 'prev', 'active')
  if redis.call('SCARD', job.key .. ':dependencies') == 0 then
    release_waiting_parent(queue, job.id)
  end
end
