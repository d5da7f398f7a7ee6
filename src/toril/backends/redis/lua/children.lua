-- children: some children of one job, as it knows them and as they are.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   id         string
--   part       int     in which of the four keys to go on, from 1
--   place      string  where in it, as SCAN has it; '0' is its start
--   limit      int     about how many
--   brief      string  'yes': leave out what is not the parent's, but for the name
-- RETURNS
--   {rows, next part or nil, next place}; a row is {key, part, value, name, state, failed reason, 1
--   if it has children}
-- EMITS
--   nothing
-- COST
--   up to 12 commands a child
local queue, id = open_queue(KEYS[1], ARGV[1]), ARGV[2]
local part, place, limit, brief = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), ARGV[6] == 'yes'
local PARTS = {
  { 'dependencies', 'SSCAN', 1 }, { 'processed', 'HSCAN', 2 }, { 'failed', 'HSCAN', 2 },
  { 'unsuccessful', 'ZSCAN', 2 },
}

local function has_children(key)
  return redis.call('EXISTS', key .. ':dependencies', key .. ':processed', key .. ':failed',
    key .. ':unsuccessful') > 0 and 1 or 0
end

local function row(name, key, value)
  local job = try('HMGET', key, 'name', 'failedReason') or {}
  local found = { key, name, value, job[1] or false, false, false, 0 }
  if brief or not job[1] then
    local failed = name == 'unsuccessful'
    if name == 'dependencies' and job[2] then  -- of an attempt, unless it has failed for good
      local base, child_id = string.match(key, '^(.*:)([^:]*)$')
      failed = base and try('ZSCORE', base .. 'failed', child_id)
    end
    if failed then found[6] = job[2] or false end
    return found
  end
  local base, child_id = string.match(key, '^(.*:)([^:]*)$')
  if base then found[5] = state_of({ base = base }, child_id) or false end
  if found[5] == 'failed' then found[6] = job[2] or false end
  found[7] = has_children(key)
  return found
end

local rows = {}
while part <= #PARTS and #rows < limit do
  local name, command, step = unpack(PARTS[part])
  local answer = try(command, queue.base .. id .. ':' .. name, place, 'COUNT', limit)
    or { '0', {} }
  local found = answer[2]
  for index = 1, #found, step do
    rows[#rows + 1] = row(name, found[index], step == 2 and found[index + 1] or false)
  end
  place = answer[1]
  if place == '0' then part = part + 1 end
end
if part > #PARTS then return { rows } end
return { rows, part, place }
