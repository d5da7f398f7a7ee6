-- add: add jobs to one queue or several, unless their ids are taken, or their de-duplication ids.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   jobs...    string  four each: name, data (JSON), opts (JSON), placing: JSON [queue, id or
--                      false, delay_ms, priority, lifo, timestamp_ms or false, run_at_ms or false,
--                      deduplication or false]; that is [id, ttl_ms or false, extend, replace,
--                      reschedule, keep_last]. For a plain job of the first queue placing is a
--                      number: so many more follow that differ by their data only, which is all
--                      that stands there of them
-- RETURNS
--   one id for each job, in order; {id} of the one that is there in its place
-- EMITS
--   added waiting delayed duplicated deduplicated removed
-- COST
--   3 commands a plain job, 6 any other, 3 more for one with a de-duplication id; O(log N) for a
--   delayed or prioritized one
-- @include lib/open_queue
-- @include lib/in_parts
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
-- @include lib/add_plain
local frozen_ms, words = ARGV[1], ARGV
local opened, answers = {}, {}
local function queues(place)
  if not opened[place] then opened[place] = open_queue(KEYS[place], frozen_ms) end
  return opened[place]
end

local index = 2
while index <= #words do
  local more = tonumber(words[index + 3])
  if more then
    add_plain(queues(1), words, index, more, answers)
    index = index + 4 + more
  else
    local job = read_new_job(words[index], words[index + 1], words[index + 2], words[index + 3])
    local id, is_new = add_new(queues(job.queue), job)
    answers[#answers + 1] = is_new and id or { id }
    index = index + 4
  end
end
return answers
