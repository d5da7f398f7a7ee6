-- remove_job: delete a job, wherever others refer to it: its parent, its de-duplication id.
--
-- A parent that cannot be told does not keep it.
local function remove_job(queue, id)
  local facts = try('HMGET', queue.base .. id, 'parent', 'deid') or {}
  if facts[1] then despite_damage(tell_parent_gone, queue, id, facts[1]) end
  if facts[2] then drop_deduplication(queue, id, facts[2]) end
  forget_job(queue, id)
end
