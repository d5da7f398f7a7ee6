-- remove_job: delete a job, wherever others refer to it: its parent, its de-duplication id.
local function remove_job(queue, id)
  local facts = redis.call('HMGET', queue.base .. id, 'parent', 'deid')
  if facts[1] then tell_parent_gone(queue, id, facts[1]) end
  if facts[2] then drop_deduplication(queue, id, facts[2]) end
  forget_job(queue, id)
end
