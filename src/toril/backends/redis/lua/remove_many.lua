-- remove_many: remove jobs that live on in another store, if they are in one state.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   state      string  any but active
--   ids...     string
-- RETURNS
--   1 or, of one that was not in that state or that its scheduler waits for, 0 for each, in order
-- EMITS
--   nothing
-- COST
--   about 5 commands a job; in `wait` O(1) in the order of the line, else O(N)
local queue, state, answers = open_queue(KEYS[1], ARGV[1]), ARGV[2], {}
local key = queue.base .. (state == 'wait' and queue.line or state)
for index = 3, #ARGV do
  local id, gone = ARGV[index], 0
  if not is_scheduled(queue, id) then
    if state == 'wait' then gone = redis.call('LREM', key, -1, id)
    else gone = redis.call('ZREM', key, id) end
    if gone == 1 then
      local deduplication = try('HGET', queue.base .. id, 'deid')
      if deduplication then drop_deduplication(queue, id, deduplication) end
      forget_job(queue, id)
    end
  end
  answers[#answers + 1] = gone
end
return answers
