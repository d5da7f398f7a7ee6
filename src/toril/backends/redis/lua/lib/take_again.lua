-- take_again: jobs that an earlier exchange claimed whose reply never arrived.
--
-- Each on its own: they need not have been claimed together.
local function take_again(queue, place, tokens, claimed)
  local many = 0
  for _, id in ipairs(redis.call('LRANGE', queue.base .. 'active', 0, -1)) do
    local lock = try('GET', queue.base .. id .. ':lock')
    local job = lock and tokens[lock] and despite_damage(read_claimed, queue, id)
    if job and job[1] then
      job[8] = id
      local started = redis.call('HGET', queue.base .. id, 'processedOn')
      claimed[#claimed + 1] = { place, lock, started, { job } }
      many = many + 1
    end
  end
  return many
end
