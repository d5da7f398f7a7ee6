-- add_slot_job: make the job of a slot.
--
-- Seven words make a job: name, data, opts, priority, lifo, due_ms, timestamp_ms.
local function add_slot_job(queue, id, slot, words, first)
  redis.call('INCR', queue.base .. 'id')
  settle_meta(queue)
  add_job(queue, slot_job(id, slot), {
    name = words[first], data = words[first + 1], opts = words[first + 2],
    priority = priority_of(words[first + 3]), lifo = words[first + 4] == 'yes', delay_ms = 0,
    run_at_ms = tonumber(words[first + 5]), timestamp_ms = tonumber(words[first + 6]),
  }, { 'rjk', id })
end
