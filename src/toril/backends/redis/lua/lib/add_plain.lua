-- add_plain: add jobs that take the next numbers as ids to the end of the line of one queue.
--
-- Four words each, as `requests.py` writes them, from `first` up to the one before `behind`. What
-- can be done once for all of them is: the queue ends up as if they had come one by one.
local function add_plain(queue, words, first, behind, answers)
  local many = (behind - first) / 4
  local before = redis.call('INCRBY', queue.base .. 'id', many) - many
  settle_meta(queue)
  local ids = {}
  for index = 1, many do
    local at = first + 4 * (index - 1)
    local id = string.format('%.0f', before + index)
    redis.call('HSET', queue.base .. id, 'name', words[at], 'data', words[at + 1],
      'opts', words[at + 2], 'timestamp', queue.now, 'delay', '0', 'priority', '0')
    emit(queue, 'added', 'jobId', id, 'name', words[at])
    emit(queue, 'waiting', 'jobId', id)
    ids[index], answers[#answers + 1] = id, id
  end
  in_parts(ids, function(...) redis.call('LPUSH', queue.base .. 'wait', ...) end)
  wake(queue)
end
