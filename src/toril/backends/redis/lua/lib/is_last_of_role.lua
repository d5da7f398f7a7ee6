-- is_last_of_role: whether a user is the only one who has a role for all queues.
local function is_last_of_role(users, name, role)
  if role == '' or not has_role(redis.call('HGET', users, name), role) then return false end
  local all = redis.call('HGETALL', users)
  for i = 1, #all, 2 do
    if all[i] ~= name and has_role(all[i + 1], role) then return false end
  end
  return true
end
