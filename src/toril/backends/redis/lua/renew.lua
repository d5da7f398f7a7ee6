-- renew: lengthen the leases of jobs that a worker holds, each by its own time from now.
--
-- The end of a lease that was renewed is an odd number: so a job that was begun can be told from one
-- that was only claimed (`recover`).
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   holds...   string  five each: queue (its place among the keys), id, token, attempt, lease_ms
-- RETURNS
--   {places of holds that are lost (from 1), {place, reason} of those that are cancelled}
-- EMITS
--   nothing
-- COST
--   4 commands a job; O(active jobs) for one whose lock has expired
local frozen_ms = ARGV[1]
local opened, lost, cancelled = {}, {}, {}
local place = 0
for index = 2, #ARGV, 5 do
  place = place + 1
  local number = tonumber(ARGV[index])
  if not opened[number] then opened[number] = open_queue(KEYS[number], frozen_ms) end
  local queue, id, token = opened[number], ARGV[index + 1], ARGV[index + 2]
  local key = queue.base .. id
  if holds(queue, id, token, tonumber(ARGV[index + 3]), try('GET', key .. ':lock')) then
    -- The removal first: after it a server whose memory is full takes the rest, too.
    if not try('SREM', queue.base .. 'stalled', id) then redis.call('DEL', queue.base .. 'stalled') end
    local lease_end = queue.now_ms + tonumber(ARGV[index + 4])
    redis.call('SET', key .. ':lock', token, 'PXAT', lease_end - 1 + lease_end % 2)
    local reason = try('HGET', key, 'toril:cancel')
    if reason then cancelled[#cancelled + 1] = { place, reason } end
  else
    lost[#lost + 1] = place
  end
end
return { lost, cancelled }
