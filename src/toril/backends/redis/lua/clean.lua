-- clean: remove jobs of one state that are older than an age.
--
-- Finished jobs lie in the order of their age; of the others the call looks at a piece of the line.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   state      string
--   age_ms     int     milliseconds
--   limit      int     jobs removed in this call
--   start      int     where in the line to begin, from 0
--   look       int     jobs to look at in this call
-- RETURNS
--   {ids of those that went, where to go on or -1 at the end}
-- EMITS
--   cleaned waiting delayed
-- COST
--   about 5 commands a job removed, 2 a job looked at
local queue, state = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local until_ms, limit = queue.now_ms - tonumber(ARGV[3]), tonumber(ARGV[4])
local start, look = tonumber(ARGV[5]), tonumber(ARGV[6])
local key, removed, next_start = queue.base .. (state == 'wait' and queue.line or state), {}, -1

if state == 'completed' or state == 'failed' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', ended_by(until_ms), 'LIMIT', 0, limit)) do
    redis.call('ZREM', key, id)
    remove_job(queue, id)
    removed[#removed + 1] = id
  end
else
  local ids
  if state == 'wait' then
    local backwards = redis.call('LRANGE', key, -(start + look), -(start + 1))
    ids = {}
    for index = #backwards, 1, -1 do ids[#ids + 1] = backwards[index] end
  else
    ids = redis.call('ZRANGE', key, start, start + look - 1)
  end
  local looked = 0
  for _, id in ipairs(ids) do
    if #removed >= limit then break end
    looked = looked + 1
    local timestamp_ms = number_of(try('HGET', queue.base .. id, 'timestamp')) or 0
    if timestamp_ms <= until_ms and not is_scheduled(queue, id) then
      leave_state(queue, id, state)
      remove_job(queue, id)
      removed[#removed + 1] = id
    end
  end
  if looked < #ids or #ids == look then next_start = start + looked - #removed end
end
if #removed > 0 then emit(queue, 'cleaned', 'count', #removed) end
return { removed, next_start }
