-- exchange: apply outcomes, then lease as many jobs as there is room for, queue by queue.
--
-- KEYS
--   metas...     hash    <prefix>:<queue>:meta; all other keys of a queue share its beginning
-- ARGV
--   frozen_ms    int     epoch milliseconds in tests; empty: the server's time
--   request      json    token, worker, room, points, lost_tokens, claims, runs (`requests.py`,
--                        _Request, _Claim); a queue is its place among the keys, from 1
--   outcomes...  string  five each: queue, id, token, value or reason, the rest as JSON (settle)
-- RETURNS
--   {places of outcomes that came too late (from 1), claims, wait_ms or nil, and if anything is wrong
--   with a queue: {queue, text} of each}
--   a claim: {queue, token, started_ms, jobs}; a job of it: {name, data, opts, ats, atm, timestamp,
--   defa, id, and ready, if it was delayed}; wait_ms: in so many milliseconds more may be claimable
-- EMITS
--   completed failed retries-exhausted waiting delayed active drained added duplicated
--   deduplicated removed waiting-children
-- COST
--   about 3 commands an outcome and 4 a claim, 14 a queue; O(log N) in jobs waiting or finished
local frozen_ms, request = ARGV[1], cjson.decode(ARGV[2])
local token, worker, room, points = request.token, request.worker, request.room, request.points
local lost_tokens, claims, runs = request.lost_tokens, request.claims, request.runs

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
    #lost_tokens > 0, points, queues, too_late, runs)
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
    local place = claim.queue
    if not looked[place] then
      local queue = queues(place)
      many = many + (note_problem(queue, rarely().take_again, queue, place, tokens, claimed) or 0)
    end
    looked[place] = true
  end
end
for _, claim in ipairs(claims) do
  if room <= many then break end
  local queue = queues(claim.queue)
  local jobs = {}
  local later_ms = note_problem(queue, take, queue, claim, room - many, token, worker, jobs)
  if #jobs > 0 then
    claimed[#claimed + 1] = { claim.queue, token, queue.now, jobs }
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
