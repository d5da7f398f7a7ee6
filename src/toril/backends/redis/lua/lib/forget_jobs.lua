-- forget_jobs: delete all that belongs to many jobs but their locks and their places in a state.
local PARTS = { ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful' }

local function forget_jobs(queue, ids)
  local keys = {}
  for _, id in ipairs(ids) do
    local key = queue.base .. id
    keys[#keys + 1] = key
    for _, part in ipairs(PARTS) do keys[#keys + 1] = key .. part end
  end
  in_parts(keys, function(...) redis.call('DEL', ...) end)
end
