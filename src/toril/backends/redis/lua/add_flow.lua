-- add_flow: add trees of jobs, all of them or nothing.
--
-- Everything is looked at before anything is written: a script does not roll back.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   token      string  the claim of the parent that adds them; empty: nobody's
--   nodes...   string  six each: name, data (JSON), opts (JSON), placing (as in add, never empty),
--                      parent (its field of that name, JSON; empty: a root), waits ('yes': it has
--                      children among those behind it)
-- RETURNS
--   {'ok', 1 or, of one whose id was taken, 0 for each} | {'damaged', why} | {'no_parent', key}
--   | {'finished', key, state} | {'lost', key} | {'is_there', key} | {'has_parent', key, other}
--   | {'is_above', key, parent}
-- EMITS
--   added waiting delayed waiting-children duplicated
-- COST
--   about 7 commands a node
local frozen_ms, token = ARGV[1], ARGV[2]
local opened = {}
local function queues(place)
  if not opened[place] then opened[place] = open_queue(KEYS[place], frozen_ms) end
  return opened[place]
end

local nodes = {}
for index = 3, #ARGV, 6 do
  local node = read_new_job(ARGV[index], ARGV[index + 1], ARGV[index + 2],
    cjson.decode(ARGV[index + 3]))
  node.home = queues(node.queue)
  node.key = node.home.base .. node.id
  node.waits = ARGV[index + 5] == 'yes'
  if ARGV[index + 4] ~= '' then
    node.parent_text = ARGV[index + 4]
    node.parent = cjson.decode(node.parent_text)
    node.parent_key = node.parent.queueKey .. ':' .. node.parent.id
  end
  nodes[#nodes + 1] = node
end

for _, queue in pairs(opened) do
  for _, name in ipairs({ 'id', 'wait', 'prioritized', 'delayed', 'waiting-children' }) do
    local problem = damage_of(queue.base, name)
    if problem then return { 'damaged', "'" .. queue.base .. name .. "' " .. problem } end
  end
end

local new, skipped, known = {}, {}, {}
local top = {}  -- of a new node: the job that is there to which its tree is added

-- Why no child can be added to a job that was there before.
local function refuse_parent(node)
  local key = node.parent_key
  if redis.call('EXISTS', key) == 0 then return { 'no_parent', key } end
  if token ~= '' and redis.call('GET', key .. ':lock') ~= token then return { 'lost', key } end
  local state = finished_state(node.parent.queueKey .. ':', node.parent.id)
  if state then return { 'finished', key, state } end
  known[key] = true
end

-- Whether a job is among those above a parent, or that parent itself.
local function is_above(key, parent_key)
  local seen = {}
  while type(parent_key) == 'string' and not seen[parent_key] do
    if parent_key == key then return true end
    seen[parent_key] = true
    parent_key = redis.pcall('HGET', parent_key, 'parentKey')
  end
  return false
end

-- Why the job that is there cannot become this child.
local function refuse_there(node)
  if node.waits then return { 'is_there', node.key } end
  local other = redis.call('HGET', node.key, 'parentKey')
  if other and other ~= node.parent_key and redis.call('EXISTS', other) == 1 then
    return { 'has_parent', node.key, other }
  end
  if is_above(node.key, top[node.parent_key] or node.parent_key) then
    return { 'is_above', node.key, node.parent_key }
  end
end

local function check(node)
  if node.parent_key and skipped[node.parent_key] then
    skipped[node.key] = true
    return nil
  end
  if node.parent_key and not new[node.parent_key] and not known[node.parent_key] then
    local refusal = refuse_parent(node)
    if refusal then return refusal end
  end
  local kind = redis.call('TYPE', node.key).ok
  if kind == 'none' then
    new[node.key] = true
    if node.parent_key then top[node.key] = top[node.parent_key] or node.parent_key end
    return nil
  end
  if kind ~= 'hash' then return { 'damaged', "'" .. node.key .. "' is a " .. kind .. ' and no job' } end
  if not node.parent_key then
    skipped[node.key] = true
    node.is_there = true
    return nil
  end
  node.is_there = true
  return refuse_there(node)
end

for _, node in ipairs(nodes) do
  local refusal = check(node)
  if refusal then return refusal end
end

local function add_waiting(queue, node, more)
  local timestamp_ms = node.timestamp_ms or queue.now_ms
  local delay_ms = node.delay_ms
  if node.run_at_ms then delay_ms = math.max(0, node.run_at_ms - timestamp_ms) end
  redis.call('HSET', node.key, 'name', node.name, 'data', node.data, 'opts', node.opts, 'timestamp',
    timestamp_ms, 'delay', delay_ms, 'priority', node.priority, unpack(more))
  redis.call('ZADD', queue.base .. 'waiting-children', timestamp_ms, node.id)
  emit(queue, 'added', 'jobId', node.id, 'name', node.name)
  emit(queue, 'waiting-children', 'jobId', node.id)
end

local touched, failed = {}, {}

-- The job that is there becomes a child.
local function attach(queue, node)
  emit(queue, 'duplicated', 'jobId', node.id)
  if not node.parent then return end
  redis.call('HSET', node.key, 'parentKey', node.parent_key, 'parent', node.parent_text)
  local state = finished_state(queue.base, node.id)
  if state == 'completed' then
    redis.call('HSET', node.parent_key .. ':processed', node.key,
      redis.call('HGET', node.key, 'returnvalue') or 'null')
    touched[#touched + 1] = node
  else
    redis.call('SADD', node.parent_key .. ':dependencies', node.key)
    if state == 'failed' then failed[#failed + 1] = node end
  end
end

local answers = { 'ok' }
for _, node in ipairs(nodes) do
  local queue = node.home
  if node.is_there then
    redis.call('INCR', queue.base .. 'id')
    settle_meta(queue)
    attach(queue, node)
  elseif not skipped[node.key] then
    redis.call('INCR', queue.base .. 'id')
    settle_meta(queue)
    local more = node.parent and { 'parentKey', node.parent_key, 'parent', node.parent_text } or {}
    if node.waits then add_waiting(queue, node, more) else add_job(queue, node.id, node, more) end
    if node.parent then redis.call('SADD', node.parent_key .. ':dependencies', node.key) end
  end
  answers[#answers + 1] = (node.is_there or skipped[node.key]) and 0 or 1
end

for _, node in ipairs(failed) do
  local reason = redis.call('HGET', node.key, 'failedReason') or 'null'
  tell_parent_failed(node.home, node.id, node.parent_text, reason)
end
for _, node in ipairs(touched) do
  if redis.call('SCARD', node.parent_key .. ':dependencies') == 0 then
    local parent, home = parent_of(node.home, node.parent_text)
    release_waiting_parent(home, parent.id)
  end
end
return answers
