-- rename_job: give all that belongs to a job another key, but its lock and its place in a state.
local PARTS_OF_JOB = { ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful' }

local function rename_job(from, to)
  redis.call('RENAME', from, to)
  for _, part in ipairs(PARTS_OF_JOB) do
    if redis.call('EXISTS', from .. part) == 1 then redis.call('RENAME', from .. part, to .. part) end
  end
end

-- keep_job_until: let a renamed job go by itself at a moment; nil: keep it.
local function keep_job_until(key, until_ms)
  for index = 0, #PARTS_OF_JOB do
    local one = key .. (PARTS_OF_JOB[index] or '')
    if until_ms then redis.call('PEXPIREAT', one, until_ms) else redis.call('PERSIST', one) end
  end
end
