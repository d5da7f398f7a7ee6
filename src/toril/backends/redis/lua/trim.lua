-- trim: remove finished jobs that are older than their queue keeps them.
--
-- KEYS
--   meta       hash  <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int   epoch milliseconds in tests; empty: the server's time
--   limit      int   jobs in this call
-- RETURNS
--   how many went
-- EMITS
--   waiting delayed, of parents that went back in line
-- COST
--   2 commands a job
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/in_parts
-- @include lib/emit
-- @include lib/wake
-- @include lib/finish_in_order
-- @include lib/forget_jobs
-- @include lib/decoded rarely
-- @include lib/wake_at rarely
-- @include lib/line_up rarely
-- @include lib/put_off rarely
-- @include lib/release_parent rarely
-- @include lib/tell_parent rarely
-- @include lib/keep_finished
local queue = open_queue(KEYS[1], ARGV[1])
local limit, removed = tonumber(ARGV[2]), 0
for _, state in ipairs({ 'completed', 'failed' }) do
  local age_ms = number_of(queue.keep[state])
  if age_ms and removed < limit then
    removed = removed + (note_problem(queue, drop_older, queue, state, age_ms, limit - removed) or 0)
  end
end
return removed
