-- add_plain: add jobs that take the next numbers as ids to the end of the line of one queue.
--
-- They differ in their data only: that of the first is `words[first + 1]`, that of the `more` others
-- stands from `words[first + 4]` on. What can be done once for all of them is: the queue ends up as
-- if they had come one by one. Their places come first: where these cannot be had, nothing has been
-- written.
local function add_plain(queue, words, first, more, answers)
  local name, opts, data = words[first], words[first + 2], words[first + 1]
  local before = redis.call('INCRBY', queue.base .. 'id', more + 1) - more - 1
  local ids = {}
  for index = 1, more + 1 do ids[index] = string.format('%.0f', before + index) end
  in_parts(ids, function(...) redis.call('LPUSH', queue.base .. (queue.line or 'wait'), ...) end)
  settle_meta(queue)
  for index = 1, more + 1 do
    local id = ids[index]
    local stored = redis.pcall('HSET', queue.base .. id, 'name', name, 'data', data, 'opts', opts,
      'timestamp', queue.now, 'delay', '0', 'priority', '0')
    if stored ~= 6 and type(stored) == 'table' then
      -- A key that is no job's lies there: the job gets another id.
      blame(stored)
      redis.call('LREM', queue.base .. (queue.line or 'wait'), 1, id)
      local job = { name = name, data = data, opts = opts, delay_ms = 0, priority = 0 }
      id = rarely().add_new(queue, job)
    else
      emit(queue, 'added', 'jobId', id, 'name', name)
      emit(queue, 'waiting', 'jobId', id)
    end
    answers[#answers + 1] = id
    data = words[first + 3 + index]
  end
  wake(queue)
end
