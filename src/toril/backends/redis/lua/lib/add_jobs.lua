-- add_jobs: add the jobs that `words` describes from `first` on; returns one answer each.
--
-- How they are described and what is answered: `add.lua`.
local function add_jobs(frozen_ms, words, first)
  local opened, answers = {}, {}
  local function queues(place)
    if not opened[place] then opened[place] = open_queue(KEYS[place], frozen_ms) end
    return opened[place]
  end

  local function refuse(many, problem)
    for _ = 1, many do answers[#answers + 1] = { false, problem } end
  end

  local index = first
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
end
