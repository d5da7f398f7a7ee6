-- read_schedules: some schedules of a queue, each with the job of its newest slot.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   ids...     string
-- RETURNS
--   {now_ms, rows}; a row is false if there is none, else {slot, fields (name, every, pattern, tz,
--   limit, startDate, endDate, offset, data, opts, ic), what BullMQ cannot say, the job's state or
--   false, the job's fields (name, data, opts), which code declares it}
-- EMITS
--   nothing
-- COST
--   about 9 commands each
local queue, rows = open_queue(KEYS[1], ARGV[1]), {}
for index = 2, #ARGV do
  local id = ARGV[index]
  local slot = try('ZSCORE', queue.base .. 'repeat', id)
  local row = false
  if slot then
    local job_id = slot_job(id, slot)
    local job = try('HMGET', queue.base .. job_id, 'name', 'data', 'opts') or { false, false, false }
    row = {
      slot,
      try('HMGET', schedule_key(queue, id), 'name', 'every', 'pattern', 'tz', 'limit', 'startDate',
        'endDate', 'offset', 'data', 'opts', 'ic') or {},
      try('HGET', beside_key(queue), id) or false,
      job[1] and state_of(queue, job_id) or false,
      job,
      try('HGET', declared_key(queue), id) or false,
    }
  end
  rows[#rows + 1] = row
end
return { queue.now_ms, rows }
