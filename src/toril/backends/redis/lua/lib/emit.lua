-- emit: append an event to the queue's stream, which keeps about `opts.maxLenEvents` of them.
--
-- A queue may be set to tell outcomes only, or nothing (`toril:events` in its meta hash).
local ORDINARY = {
  added = true, waiting = true, delayed = true, active = true, drained = true,
  ['waiting-children'] = true,
}

local function emit(queue, name, ...)
  if queue.events == 'none' or (queue.events == 'outcomes' and ORDINARY[name]) then return end
  redis.call('XADD', queue.base .. 'events', 'MAXLEN', '~', queue.max_events or 10000,
    queue.event_id, 'event', name, ...)
end
