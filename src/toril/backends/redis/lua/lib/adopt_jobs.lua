-- adopt_jobs: take over the jobs that `words` describes from `first` on; returns one answer each.
--
-- How they are described and what is answered: `adopt.lua`.
local function adopt_jobs(frozen_ms, words, first)
  local queue = open_queue(KEYS[1], frozen_ms)
  queue.events = 'none'  -- nothing happened to these jobs
  settle_meta(queue)
  local counter = number_of(try('GET', queue.base .. 'id')) or 0
  local highest = counter
  local answers, many = {}, { completed = 0, failed = 0, delayed = 0, ready = 0 }
  many['waiting-children'] = 0

  -- Its place comes first: if that cannot be had, nothing of the job has been written.
  local function place(id, state, priority, moment_ms)
    if state == 'delayed' then
      put_off(queue, id, moment_ms)
    elseif state == 'completed' or state == 'failed' then
      finish_in_order(queue, state, { id }, moment_ms)
    elseif state == 'waiting-children' then
      redis.call('ZADD', queue.base .. state, moment_ms, id)
    else
      line_up(queue, id, priority, false)
      state = 'ready'
    end
    many[state] = many[state] + 1
  end

  local function hold(id, text)
    local held = cjson.decode(text)
    if deduplication_holder(queue, held[1]) then return end
    local key, aside_key = queue.base .. 'de:' .. held[1], queue.base .. 'dn:' .. held[1]
    redis.call('SET', key, id)
    if held[2] then redis.call('PEXPIREAT', key, queue.now_ms + held[2]) end
    redis.call('DEL', aside_key)
    local aside = held[3]
    if aside then
      redis.call('HSET', aside_key, 'name', aside[1], 'data', aside[2], 'opts', aside[3],
        'jid', aside[4], 'toril:holder', id)
      if aside[5] then redis.call('HSET', aside_key, 'toril:runAt', aside[5]) end
    end
  end

  local function know(key, text)
    for _, child in ipairs(cjson.decode(text)) do
      local of, fate, value = child[1], child[2], child[3]
      if fate == 'pending' then redis.call('SADD', key .. ':dependencies', of)
      elseif fate == 'completed' then redis.call('HSET', key .. ':processed', of, value)
      elseif fate == 'ignored' then redis.call('HSET', key .. ':failed', of, value)
      else redis.call('ZADD', key .. ':unsuccessful', queue.now, of) end
    end
  end

  local index = first
  while index <= #words do
    local id, state = words[index], words[index + 1]
    local priority, moment_ms = tonumber(words[index + 2]), tonumber(words[index + 3])
    local first_word = index + 8
    local first_line = first_word + tonumber(words[index + 6])
    local behind = first_line + tonumber(words[index + 7])
    local key = queue.base .. id
    -- Above 10^15 it was no queue's number: those of new jobs do not go on from there.
    if #id <= 15 and string.find(id, '^[1-9]%d*$') then highest = math.max(highest, tonumber(id)) end
    local is_new = redis.call('EXISTS', key) == 0
    if is_new then
      place(id, state, priority, moment_ms)
      redis.call('HSET', key, unpack(words, first_word, first_line - 1))
      if behind > first_line then
        redis.call('DEL', key .. ':logs')
        local lines = {}
        for line = first_line, behind - 1 do lines[#lines + 1] = words[line] end
        in_parts(lines, function(...) redis.call('RPUSH', key .. ':logs', ...) end)
      end
      if words[index + 4] ~= '' then hold(id, words[index + 4]) end
      if words[index + 5] ~= '' then know(key, words[index + 5]) end
    end
    answers[#answers + 1] = is_new and 1 or 0
    index = behind
  end

  if highest > counter then redis.call('SET', queue.base .. 'id', string.format('%.0f', highest)) end
  for _, state in ipairs({ 'completed', 'failed' }) do
    if many[state] > 0 then note_problem(queue, count_elsewhere, queue, state, many[state]) end
  end
  if many.ready > 0 then wake(queue) end
  if many.delayed > 0 then wake_at(queue) end
  return answers
end
