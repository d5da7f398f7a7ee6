-- open_queue: what a script needs to know of one queue: the time, its settings, its key base.
--
-- `frozen_ms` is empty except in tests: then it is the time, and the server's own is not asked.
-- `now` is the time as text: a number that a command is given is formatted each time, which costs as
-- much as a small command. Settings that cannot be read are as good as none.
--
-- `line` is the list where ready jobs wait, if it is not `wait`: `paused` while Bull 4 or BullMQ 5 has
-- paused the queue. Their resume renames `paused` to `wait`, over what lies there: nothing may. `bull`
-- is set while Bull 4 is seen on the queue (`look_for_bull`).
local server_ms

local function open_queue(meta_key, frozen_ms)
  local settings = redis.pcall('HMGET', meta_key, 'paused', 'concurrency', 'max', 'duration',
    'opts.maxLenEvents', 'toril:events', 'toril:keepCompleted', 'toril:keepFailed', 'toril:bull',
    'toril:history')
  if settings.err then
    blame(settings)
    settings = { [5] = '10000' }
  end
  local queue = {
    meta = meta_key,
    base = string.sub(meta_key, 1, -5),
    events_key = string.sub(meta_key, 1, -5) .. 'events',
    event_id = '*',
    paused = settings[1],
    concurrency = settings[2] and number_of(settings[2]) or nil,
    rate_limit = settings[3] and number_of(settings[3]) or nil,
    rate_window_ms = settings[4] and number_of(settings[4]) or nil,
    max_events = settings[5],
    events = settings[6] or 'all',
    keep = { completed = settings[7], failed = settings[8] },
    bull = settings[9],
    history = settings[10] ~= 'off',
  }
  if queue.paused then
    local version = redis.call('HGET', meta_key, 'version')
    local is_old = version and string.find(version, '^bullmq:[1-5]%.')
    if redis.call('EXISTS', queue.base .. 'paused', queue.base .. 'meta-paused') > 0
      or is_old and redis.call('EXISTS', queue.base .. 'wait') == 0 then
      queue.line = 'paused'
    end
  end
  if queue.rate_limit and queue.rate_limit < 1 then queue.rate_limit = nil end
  if frozen_ms == '' then
    if not server_ms then
      local clock = redis.call('TIME')
      server_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
    end
    queue.now_ms = server_ms
  else
    queue.now_ms = tonumber(frozen_ms)
    queue.event_id = frozen_ms .. '-*'
  end
  queue.now = string.format('%.0f', queue.now_ms)
  return queue
end
