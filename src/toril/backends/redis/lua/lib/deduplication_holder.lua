-- deduplication_holder: which job holds a de-duplication id; nil if none does.
--
-- A key without an end whose job is gone is nobody's (spec, section 3.15); nor is one that names none.
local function deduplication_holder(queue, deduplication_id)
  local key = queue.base .. 'de:' .. deduplication_id
  local holder = try('GET', key)
  if not holder then return nil end
  if redis.call('PTTL', key) == -1 then
    return redis.call('EXISTS', queue.base .. holder) == 1 and holder or nil
  end
  return remaining(queue, key) > 0 and holder or nil
end
