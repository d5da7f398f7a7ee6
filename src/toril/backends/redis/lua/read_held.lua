-- read_held: which de-duplication ids jobs hold.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   ids...     string  of the jobs
-- RETURNS
--   for each job {} or {id, left_ms or nil, aside or nil}; aside: {name, data, opts, job id,
--   run_at_ms or nil}
-- EMITS
--   nothing
-- COST
--   at most 5 commands a job
local queue = open_queue(KEYS[1], ARGV[1])
local answers = {}
for index = 2, #ARGV do
  local id, answer = ARGV[index], {}
  local deduplication_id = try('HGET', queue.base .. id, 'deid')
  if deduplication_id and deduplication_holder(queue, deduplication_id) == id then
    local left_ms = remaining(queue, queue.base .. 'de:' .. deduplication_id)
    local aside = try('HMGET', queue.base .. 'dn:' .. deduplication_id, 'name', 'data',
      'opts', 'jid', 'toril:runAt')
    answer = { deduplication_id, left_ms > 0 and left_ms, aside and aside[1] and aside or false }
  end
  answers[#answers + 1] = answer
end
return answers
