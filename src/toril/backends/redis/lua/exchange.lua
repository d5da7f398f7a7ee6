-- exchange: apply outcomes, then lease as many jobs as there is room for, queue by queue.
--
-- KEYS
--   metas...     hash    <prefix>:<queue>:meta; all other keys of a queue share its beginning
-- ARGV
--   frozen_ms    int     epoch milliseconds in tests; empty: the server's time
--   request      json    {token, worker, room, points, lost_tokens, claims}; a claim is {queue,
--                        limit, lease_ms, rate_limit or false, rate_window_ms}; a queue is its
--                        place among the keys, from 1; points are the minutes of metrics to keep
--   outcomes...  string  five each: queue, id, token, value or reason, the rest as JSON (settle)
-- RETURNS
--   {places of outcomes that came too late (from 1), claims, wait_ms or nil, and if anything is wrong
--   with a queue: {queue, text} of each}
--   a claim: {queue, token, started_ms, jobs}; a job of it: {name, data, opts, ats, atm, timestamp,
--   defa, id}; wait_ms: in so many milliseconds more may be claimable
-- EMITS
--   completed failed retries-exhausted waiting delayed active drained added duplicated
--   deduplicated removed
-- COST
--   about 3 commands an outcome and 4 a claim, 14 a queue; O(log N) in jobs waiting or finished
-- @include lib/blame
-- @include lib/number_of
-- @include lib/open_queue
-- @include lib/remaining
-- @include lib/in_parts
-- @include lib/emit
-- @include lib/settle_meta
-- @include lib/wake
-- @include lib/finish_in_order
-- @include lib/forget_jobs
-- @include lib/keep_finished
-- @include lib/count_finished
-- @include lib/holders
-- @include lib/leave_active
-- @include lib/read_claimed
-- @include lib/decoded rarely
-- @include lib/wake_at rarely
-- @include lib/line_up rarely
-- @include lib/put_off rarely
-- @include lib/promote_due rarely
-- @include lib/forget_job rarely
-- @include lib/add_job rarely
-- @include lib/release_parent rarely
-- @include lib/tell_parent rarely
-- @include lib/free_deduplication rarely
-- @include lib/remove_job rarely
-- @include lib/deduplication_holder rarely
-- @include lib/deduplicate rarely
-- @include lib/read_new_job rarely
-- @include lib/add_new rarely
-- @include lib/remember_attempt rarely
-- @include lib/remember_trace rarely
-- @include lib/settle_rarely rarely
-- @include lib/give_back rarely
-- @include lib/adopt_from_bull rarely
-- @include lib/check_id rarely
-- @include lib/window_aside rarely
-- @include lib/count_starts rarely
-- @include lib/take_again rarely
-- @include lib/damage_of rarely
-- @include lib/add_follow_ups rarely
-- @include lib/take
-- @include lib/settle
local frozen_ms, request = ARGV[1], cjson.decode(ARGV[2])
local token, worker, room, points = request[1], request[2], request[3], request[4]
local lost_tokens, claims = request[5], request[6]

local opened = {}
local function queues(place)
  if not opened[place] then opened[place] = open_queue(KEYS[place], frozen_ms) end
  return opened[place]
end

local by_queue, order, place = {}, {}, 0
for index = 3, #ARGV, 5 do
  place = place + 1
  local queue = tonumber(ARGV[index])
  if not by_queue[queue] then
    by_queue[queue] = {}
    order[#order + 1] = queue
  end
  table.insert(by_queue[queue], {
    place = place, id = ARGV[index + 1], token = ARGV[index + 2], text = ARGV[index + 3],
    more_text = ARGV[index + 4],
  })
end

local too_late, finished = {}, {}
for _, queue in ipairs(order) do
  local ended = note_problem(queues(queue), settle, queues(queue), by_queue[queue],
    #lost_tokens > 0, points, queues, too_late)
  if not ended then  -- its jobs stay as they are: active, until their leases end
    for _, outcome in ipairs(by_queue[queue]) do too_late[#too_late + 1] = outcome.place end
  elseif ended > 0 then
    finished[#finished + 1] = queues(queue)
  end
end

local claimed, many, wait_ms = {}, 0, nil
if #lost_tokens > 0 then
  local tokens = {}
  for _, lost in ipairs(lost_tokens) do tokens[lost] = true end
  local looked = {}
  for _, claim in ipairs(claims) do  -- several may be for one queue
    if not looked[claim[1]] then
      local queue = queues(claim[1])
      many = many + (note_problem(queue, rarely().take_again, queue, claim[1], tokens, claimed) or 0)
    end
    looked[claim[1]] = true
  end
end
for _, claim in ipairs(claims) do
  if room <= many then break end
  local asked = { limit = claim[2], lease_ms = claim[3], rate_limit = claim[4] or nil,
    rate_window_ms = claim[5] }
  local queue = queues(claim[1])
  local jobs = {}
  local later_ms = note_problem(queue, take, queue, asked, room - many, token, worker, jobs)
  if #jobs > 0 then
    claimed[#claimed + 1] = { claim[1], token, queue.now, jobs }
    queue.goes_on = true
  end
  many = many + #jobs
  if later_ms and (not wait_ms or later_ms < wait_ms) then wait_ms = later_ms end
end

for _, queue in ipairs(finished) do
  if not queue.goes_on and redis.call('EXISTS', queue.base .. 'wait', queue.base .. 'prioritized',
    queue.base .. 'active', queue.base .. 'delayed') == 0 then
    emit(queue, 'drained')
  end
end

local problems = nil
for queue, which in pairs(opened) do
  if which.problem then
    problems = problems or {}
    problems[#problems + 1] = { queue, which.problem }
  end
end
return { too_late, claimed, wait_ms or false, problems }
