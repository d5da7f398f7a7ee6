-- relay: add jobs of an outbox to a queue, unless they were added before, and note that they were.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   kept_ms    int     milliseconds for which a mark is kept that nobody drops
--   forget     string  marks to drop, JSON array
--   jobs...    string  five each: mark, and as in add, name, data (JSON), opts (JSON), placing,
--                      which is never a number
-- RETURNS
--   for each job, in order: its id; {id} of the one that is there in its place; {id} of one whose
--   mark is there, which may be gone; {false, why} where a key of the queue's own holds what does
--   not belong there: that job was not added
-- EMITS
--   added waiting delayed duplicated deduplicated removed
-- COST
--   as add, and 2 commands a job, and one for each mark to drop
local queue = open_queue(KEYS[1], ARGV[1])
local marks, words, answers = queue.base .. 'toril:relayed', ARGV, {}
local function home() return queue end

for _, mark in ipairs(cjson.decode(ARGV[3])) do redis.call('ZREM', marks, mark) end
local old_ms = string.format('%.0f', queue.now_ms - tonumber(ARGV[2]))
for _, mark in ipairs(redis.call('ZRANGEBYSCORE', marks, '-inf', old_ms, 'LIMIT', 0, 100)) do
  redis.call('ZREM', marks, mark)
end

for index = 4, #words, 5 do
  local mark = words[index]
  if redis.call('ZSCORE', marks, mark) then
    answers[#answers + 1] = { cjson.decode(words[index + 4]).id }
  else
    local _, problem = despite_damage(add_placed, home, words, index + 1, answers)
    if problem then
      answers[#answers + 1] = { false, problem }
    else
      redis.call('ZADD', marks, queue.now_ms, mark)
    end
  end
end
return answers
