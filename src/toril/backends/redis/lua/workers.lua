-- workers: the register of workers, and what each last said of itself.
--
-- A beat lies under a key that is kept for a day: what is left of that tells its age.
--
-- KEYS
--   workers    hash    <prefix>::toril:{workers}: worker id to its description (JSON)
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
-- RETURNS
--   for each worker {description, 'running claiming resident_bytes concurrency', how much of a day its beat has
--   left in ms}; the last two are missing if it was declared dead
-- EMITS
--   nothing
-- COST
--   2 commands a worker
local described = redis.call('HGETALL', KEYS[1])
local workers = {}
for index = 1, #described, 2 do
  local beat = KEYS[1] .. ':' .. described[index]
  local report, left_ms = try('GET', beat) or false, false
  if report then
    if ARGV[1] == '' then
      left_ms = redis.call('PTTL', beat)
    else
      left_ms = redis.call('PEXPIRETIME', beat) - tonumber(ARGV[1])
    end
  end
  workers[#workers + 1] = { described[index + 1], report, left_ms }
end
return workers
