-- remove_many: remove jobs if they are in one state.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   state      string  any but active
--   ids...     string
-- RETURNS
--   1 or, of one that was not in that state or that its scheduler waits for, 0 for each, in order
-- EMITS
--   waiting delayed, of parents that went back in line
-- COST
--   about 5 commands a job; in `wait` O(1) in the order of the line, else O(N)
-- @include lib/blame
-- @include lib/number_of
-- @include lib/decoded
-- @include lib/open_queue
-- @include lib/emit
-- @include lib/wake
-- @include lib/wake_at
-- @include lib/line_up
-- @include lib/put_off
-- @include lib/forget_job
-- @include lib/add_job
-- @include lib/release_parent
-- @include lib/tell_parent
-- @include lib/free_deduplication
-- @include lib/is_scheduled
-- @include lib/remove_job
local queue, state, answers = open_queue(KEYS[1], ARGV[1]), ARGV[2], {}
local key = queue.base .. (state == 'wait' and queue.line or state)
for index = 3, #ARGV do
  local id, gone = ARGV[index], 0
  if not is_scheduled(queue, id) then
    if state == 'wait' then gone = redis.call('LREM', key, -1, id)
    else gone = redis.call('ZREM', key, id) end
    if gone == 1 then remove_job(queue, id) end
  end
  answers[#answers + 1] = gone
end
return answers
