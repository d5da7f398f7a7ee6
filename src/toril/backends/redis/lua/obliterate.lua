-- obliterate: remove jobs of a paused queue; once none is left, the queue itself.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   force      string  'yes': running jobs too
--   limit      int     jobs in this call
-- RETURNS
--   {'ok', how many went} | {'not_paused'} | {'active'} | {'missing'}
-- EMITS
--   nothing of this queue
-- COST
--   about 5 commands a job
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'missing' } end
local queue, limit, removed = open_queue(KEYS[1], ARGV[1]), tonumber(ARGV[3]), 0
local base = queue.base
if not queue.paused then return { 'not_paused' } end
if ARGV[2] ~= 'yes' and (try('LLEN', base .. 'active') or 0) > 0 then return { 'active' } end
queue.events = 'none'  -- the stream goes as well

for _, name in ipairs({ 'active', 'wait', 'paused' }) do
  local ids = try('RPOP', base .. name, limit - removed)
  for _, id in ipairs(ids or {}) do
    remove_job(queue, id)
    redis.call('DEL', base .. id .. ':lock')
    removed = removed + 1
  end
  if removed >= limit then return { 'ok', removed } end
end
for _, name in ipairs({ 'prioritized', 'delayed', 'completed', 'failed', 'waiting-children' }) do
  local popped = try('ZPOPMIN', base .. name, limit - removed) or {}
  for index = 1, #popped, 2 do
    remove_job(queue, popped[index])
    removed = removed + 1
  end
  if removed >= limit then return { 'ok', removed } end
end
local schedulers = try('ZPOPMIN', base .. 'repeat', limit) or {}
for index = 1, #schedulers, 2 do redis.call('DEL', base .. 'repeat:' .. schedulers[index]) end
if removed == 0 then
  forget_history(queue)
  for _, name in ipairs({ 'active', 'wait', 'paused', 'prioritized', 'delayed', 'completed',
    'failed', 'waiting-children' }) do
    redis.call('DEL', base .. name)  -- empty, unless it was none of the layout's
  end
  redis.call('DEL', base .. 'events', base .. 'id', base .. 'pc', base .. 'marker',
    base .. 'stalled', base .. 'stalled-check', base .. 'limiter', base .. 'repeat',
    base .. 'toril:schedules', base .. 'toril:declared', base .. 'toril:relayed',
    base .. 'metrics:completed', base .. 'metrics:completed:data',
    base .. 'metrics:failed', base .. 'metrics:failed:data', base .. 'meta',
    base .. 'meta-paused', base .. 'priority')  -- the last two are Bull 4's
end
return { 'ok', removed }
