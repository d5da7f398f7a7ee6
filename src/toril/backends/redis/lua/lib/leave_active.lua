-- leave_active: take jobs out of `active`; returns which of them were there, as a set.
--
-- The oldest are at its end, and they are what mostly ends: so a part of the end is read, and written
-- back without them. What was not in it is looked for one by one, as all are where there are few.
local FEW = 4

local function leave_one_by_one(queue, wanted, left)
  for id in pairs(wanted) do
    if redis.call('LREM', queue.base .. 'active', '-1', id) == 1 then left[id] = true end
  end
end

local function leave_active(queue, ids)
  local key, wanted, left, stay = queue.base .. 'active', {}, {}, {}
  for _, id in ipairs(ids) do wanted[id] = true end
  if #ids >= FEW then
    local oldest = redis.call('LRANGE', key, -2 * #ids, -1)
    for _, id in ipairs(oldest) do
      if wanted[id] then
        left[id], wanted[id] = true, nil
      else
        stay[#stay + 1] = id
      end
    end
    if next(left) then
      redis.call('LTRIM', key, 0, -#oldest - 1)
      in_parts(stay, function(...) redis.call('RPUSH', key, ...) end)
    end
  end
  leave_one_by_one(queue, wanted, left)
  return left
end
