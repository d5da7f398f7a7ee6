-- has_role: whether a user has a role for all queues.
--   record  JSON, as in the hash of users
local function has_role(record, role)
  local grant = (decoded(record) or {}).grant
  if type(grant) ~= 'table' or grant.role ~= role then return false end
  return grant.queues == nil or grant.queues == cjson.null
end
