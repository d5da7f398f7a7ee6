-- add_plain: add jobs that take the next numbers as ids to the end of the line of one queue.
--
-- They differ in their data only: that of the first is `words[first + 1]`, that of the `more` others
-- stands from `words[first + 4]` on. What can be done once for all of them is: the queue ends up as
-- if they had come one by one.
local function add_plain(queue, words, first, more, answers)
  local name, opts, data = words[first], words[first + 2], words[first + 1]
  local before = redis.call('INCRBY', queue.base .. 'id', more + 1) - more - 1
  settle_meta(queue)
  local ids = {}
  for index = 1, more + 1 do
    local id = string.format('%.0f', before + index)
    redis.call('HSET', queue.base .. id, 'name', name, 'data', data, 'opts', opts,
      'timestamp', queue.now, 'delay', '0', 'priority', '0')
    emit(queue, 'added', 'jobId', id, 'name', name)
    emit(queue, 'waiting', 'jobId', id)
    ids[index], answers[#answers + 1] = id, id
    data = words[first + 3 + index]
  end
  in_parts(ids, function(...) redis.call('LPUSH', queue.base .. 'wait', ...) end)
  wake(queue)
end
