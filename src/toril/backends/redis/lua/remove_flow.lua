-- remove_flow: remove a job and all that is below it, or the children that it still waits for.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   what       string  'all', or 'waited': what it waits for, but not itself
--   most       int     jobs
-- RETURNS
--   {'ok', how many went} | {'missing'} | {'held', key} | {'many'}
-- EMITS
--   removed; waiting delayed, of parents that went back in line
-- COST
--   about 20 commands a job; O(N) for one in `wait`
local top, top_id, most = open_queue(KEYS[1], ARGV[1]), ARGV[2], tonumber(ARGV[4])
local opened = { [top.base] = top }

-- The queue of a job's key and its id; nil if it is no key of a job.
local function home_of(key)
  local base, id = string.match(key, '^(.*:)([^:]*)$')
  if not base then return nil end
  if not opened[base] then opened[base] = open_queue(base .. 'meta', ARGV[1]) end
  return opened[base], id
end

local function children_of(key)
  local found = {}
  for _, ask in ipairs({ { 'SMEMBERS', 'dependencies' }, { 'HKEYS', 'processed' },
    { 'HKEYS', 'failed' } }) do
    for _, child in ipairs(try(ask[1], key .. ':' .. ask[2]) or {}) do found[#found + 1] = child end
  end
  for _, child in ipairs(try('ZRANGE', key .. ':unsuccessful', 0, -1) or {}) do
    found[#found + 1] = child
  end
  return found
end

local function remove(key)
  local queue, id = home_of(key)
  local state = queue and state_of(queue, id)  -- as it is now: its children's end may have moved it
  if not state then return 0 end
  leave_state(queue, id, state)
  remove_job(queue, id)
  emit(queue, 'removed', 'jobId', id, 'prev', state)
  return 1
end

if try('HEXISTS', top.base .. top_id, 'name') ~= 1 then return { 'missing' } end

local function is_held(key)
  local queue, id = home_of(key)
  return queue and state_of(queue, id) == 'active'
end

if ARGV[3] == 'all' then
  local below, at = { top.base .. top_id }, 1
  while below[at] do
    if is_held(below[at]) then return { 'held', below[at] } end
    for _, child in ipairs(children_of(below[at])) do
      -- Its id may be another job's by now, which has another parent or none.
      if try('HGET', child, 'parentKey') == below[at] then below[#below + 1] = child end
    end
    if #below > most + 1 then return { 'many' } end
    at = at + 1
  end
  local removed = 0
  for index = #below, 1, -1 do removed = removed + remove(below[index]) end
  return { 'ok', removed }
end

local looked = 0

-- Remove what a job waits for, each child after what is below it. Returns how many, or nil.
local function remove_waited(key, act)
  local many, children = 0, try('SMEMBERS', key .. ':dependencies') or {}
  table.sort(children, function(one, other) return one > other end)  -- a set has no order
  for _, child in ipairs(children) do
    looked = looked + 1
    if looked > most then return nil end
    local below = remove_waited(child, act)
    if not below then return nil end
    many = many + below
    if act and not is_held(child) and redis.call('EXISTS', child .. ':dependencies') == 0 then
      many = many + remove(child)
    end
  end
  return many
end

if not remove_waited(top.base .. top_id, false) then return { 'many' } end
looked = 0
return { 'ok', remove_waited(top.base .. top_id, true) }
