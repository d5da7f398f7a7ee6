-- recover: take back the jobs of one queue whose lease has ended, or whose worker is dead.
--
-- The stalled check of the layout: jobs marked in `stalled` at the last check that have lost their
-- lock, and in the same pass those that were not marked yet; the rest is marked for the next check,
-- which may be that of a Node worker. `stalled-check` tells Node that somebody has looked.
--
-- Workers of Bull 4 take a job in two steps, and lock it in the second. Where they are seen, a job
-- without a lock is taken back only if the check before has marked it too.
--
-- A dead worker's job that was never begun is not counted: its lease was not renewed (`renew`).
--
-- KEYS
--   meta         hash  <prefix>:<queue>:meta
-- ARGV
--   frozen_ms    int   epoch milliseconds in tests; empty: the server's time
--   max_stalled  int   how often a job survives this
--   limit        int   jobs taken back in this call
--   interval_ms  int   for how long others need not look; 0: look whether somebody did or not
--   start        int   where in `active` to begin, from 0
--   look         int   jobs to look at in this call
--   dead...      string  ids of workers that are known to be dead
-- RETURNS
--   {where to go on, or -1 at the end, taken back: {id, 'waits' | 'fails'}, and if anything is wrong
--   with the queue: in words}
-- EMITS
--   waiting stalled
-- COST
--   one command a job looked at, about 9 a job taken back
local queue = open_queue(KEYS[1], ARGV[1])
local max_stalled, limit, interval_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local start, look = tonumber(ARGV[5]), tonumber(ARGV[6])
local check = queue.base .. 'stalled-check'
if interval_ms > 0 and start == 0 then
  local last_ms = tonumber(try('GET', check))
  if last_ms and math.abs(queue.now_ms - last_ms) < interval_ms then return { -1, {} } end
end
local marked_before = queue.base .. 'toril:stalled'
if start == 0 then
  -- The removal first: after it a server whose memory is full takes the rest, too.
  if queue.bull and redis.call('EXISTS', queue.base .. 'stalled') == 1 then
    redis.call('RENAME', queue.base .. 'stalled', marked_before)
    redis.call('PEXPIRE', marked_before, 60000)  -- should nobody come back for the next piece
  else
    redis.call('DEL', queue.base .. 'stalled', marked_before)
  end
  if interval_ms > 0 then redis.call('SET', check, queue.now_ms, 'PXAT', queue.now_ms + interval_ms) end
end

local active = queue.base .. 'active'
local ids = note_problem(queue, redis.call, 'LRANGE', active, start, start + look - 1) or {}
local locks = {}
local keys = {}
for index, id in ipairs(ids) do keys[index] = queue.base .. id .. ':lock' end
in_parts(keys, function(...)
  for _, lock in ipairs(redis.call('MGET', ...)) do locks[#locks + 1] = lock end
end)

local function is_dead(lock)
  for index = 7, #ARGV do
    local holder = ARGV[index] .. ':'
    if string.sub(lock, 1, #holder) == holder then return true end
  end
  return false
end

local function may_be_locked_soon(id)
  return queue.bull and try('SREM', marked_before, id) ~= 1
end

local function is_from_scheduler(id)
  return id and try('HEXISTS', queue.base .. 'repeat:' .. id, 'ic') == 1
end

-- An old server cannot say when a key ends: then it counts, as all did before.
local function has_begun(lock_key)
  local ends_ms = redis.pcall('PEXPIRETIME', lock_key)
  return type(ends_ms) ~= 'number' or ends_ms % 2 == 1
end

-- Its place in line comes first: if that cannot be had, the job stays where it is.
local function take_back(id, counts)
  local key = queue.base .. id
  local facts = try('HMGET', key, 'name', 'priority', 'stc', 'ats', 'processedOn', 'pb',
    'toril:cancel', 'rjk')
  local is_job = facts and facts[1]
  if is_job then line_up(queue, id, priority_of(facts[2]), true) end
  redis.call('LREM', active, 1, id)
  redis.call('DEL', key .. ':lock')
  if not is_job then return 'gone' end
  local stalled = number_of(facts[3]) or 0
  if counts then
    stalled = stalled + 1
    redis.call('HSET', key, 'stc', stalled)
  end
  local reason = facts[7] or nil
  if not reason and stalled > max_stalled and not is_from_scheduler(facts[8]) then
    reason = 'job stalled more than allowable limit'
  end
  if reason then redis.call('HSET', key, 'defa', reason) end
  remember_attempt(queue, id, cjson.encode({
    number = number_of(facts[4]) or 0, startedMs = number_of(facts[5]) or queue.now_ms,
    workerId = facts[6] or '', outcome = 'stalled',
    error = counts and 'its worker stopped renewing the lease'
      or 'its worker ended before it had begun',
  }), queue.now_ms)
  emit(queue, 'waiting', 'jobId', id, 'prev', 'active')
  emit(queue, 'stalled', 'jobId', id)
  return reason and 'fails' or 'waits'
end

-- From the newest to the oldest, each to the front: the longest running one is the next to run.
local taken, marked, looked, removed = {}, {}, 0, 0
for index, id in ipairs(ids) do
  if #taken >= limit then break end
  looked = index
  local lock = locks[index]
  if (lock and not is_dead(lock)) or (not lock and may_be_locked_soon(id)) then
    marked[#marked + 1] = id
  else
    local fate = note_problem(queue, take_back, id, not lock or has_begun(keys[index]))
    if fate then removed = removed + 1 end
    if fate and fate ~= 'gone' then taken[#taken + 1] = { id, fate } end
  end
end
in_parts(marked, function(...) try('SADD', queue.base .. 'stalled', ...) end)
if #taken > 0 then wake(queue) end
if looked < #ids or #ids == look then
  return { start + looked - removed, taken, queue.problem }
end
return { -1, taken, queue.problem }
