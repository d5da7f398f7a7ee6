-- add: add jobs to one queue or several, unless their ids are taken, or their de-duplication ids.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   jobs...    string  four each: name, data (JSON), opts (JSON), placing: empty for a plain job
--                      of the first queue, else JSON [queue, id or false, delay_ms, priority, lifo,
--                      timestamp_ms or false, run_at_ms or false, deduplication or false];
--                      that is [id, ttl_ms or false, extend, replace, reschedule, keep_last]
-- RETURNS
--   one id for each job, in order; {id} of the one that is there in its place
-- EMITS
--   added waiting delayed duplicated deduplicated removed
-- COST
--   6 commands a job, 3 more for one with a de-duplication id; O(log N) for a delayed or
--   prioritized one
-- @include lib/open_queue
-- @include lib/emit
-- @include lib/settle_meta
-- @include lib/wake
-- @include lib/wake_at
-- @include lib/line_up
-- @include lib/put_off
-- @include lib/add_job
-- @include lib/forget_job
-- @include lib/release_parent
-- @include lib/tell_parent
-- @include lib/free_deduplication
-- @include lib/remove_job
-- @include lib/remaining
-- @include lib/deduplication_holder
-- @include lib/deduplicate
-- @include lib/read_new_job
-- @include lib/add_new
local frozen_ms = ARGV[1]
local opened, answers = {}, {}
for index = 2, #ARGV, 4 do
  local job = read_new_job(ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3])
  if not opened[job.queue] then opened[job.queue] = open_queue(KEYS[job.queue], frozen_ms) end
  local id, is_new = add_new(opened[job.queue], job)
  answers[#answers + 1] = is_new and id or { id }
end
return answers
