-- add: add jobs to one queue or several, unless their ids are taken, or their de-duplication ids.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   jobs...    string  four each: name, data (JSON), opts (JSON), placing: JSON (`requests.py`,
--                      _Placing). For a plain job of the first queue placing is a number: so many
--                      more follow that differ by their data only, which is all that stands there
--                      of them
-- RETURNS
--   one id for each job, in order; {id} of the one that is there in its place; {false, why} where
--   a key of the queue's own holds what does not belong there: that job was not added
-- EMITS
--   added waiting delayed duplicated deduplicated removed
-- COST
--   3 commands a plain job, 6 any other, 3 more for one with a de-duplication id; O(log N) for a
--   delayed or prioritized one
local frozen_ms, words = ARGV[1], ARGV
local opened, answers = {}, {}
local function queues(place)
  if not opened[place] then opened[place] = open_queue(KEYS[place], frozen_ms) end
  return opened[place]
end

local function refuse(many, problem)
  for _ = 1, many do answers[#answers + 1] = { false, problem } end
end

local index = 2
while index <= #words do
  local more = tonumber(words[index + 3])
  if more then
    local _, problem = despite_damage(add_plain, queues(1), words, index, more, answers)
    if problem then refuse(more + 1, problem) end
    index = index + 4 + more
  else
    local _, problem = despite_damage(rarely().add_placed, queues, words, index, answers)
    if problem then refuse(1, problem) end
    index = index + 4
  end
end
return answers
