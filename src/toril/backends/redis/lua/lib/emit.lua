-- emit: append an event to the queue's stream, which keeps about `opts.maxLenEvents` of them.
--
-- A queue may be set to tell outcomes only, or nothing (`toril:events` in its meta hash). A stream
-- that cannot be written to does not stop a transition: the call then tells nothing. Which it is, the
-- first event of a call shows.
-- A text and no table: that would be made at each call.
local ORDINARY = ' added waiting delayed active drained waiting-children '
-- The stream is cut with the first event of a call and then with every hundredth: as many as are in
-- one of its nodes, which only goes as a whole.
local BETWEEN_CUTS = 100

local function emit(queue, name, ...)
  if queue.events == 'none' then return end
  if queue.events == 'outcomes' and string.find(ORDINARY, ' ' .. name .. ' ', 1, true) then
    return
  end
  local uncut = queue.uncut
  if uncut and uncut < BETWEEN_CUTS then
    queue.uncut = uncut + 1
    redis.call('XADD', queue.events_key, queue.event_id, 'event', name, ...)
    return
  end
  queue.uncut = 1
  local told = redis.pcall('XADD', queue.events_key, 'MAXLEN', '~', queue.max_events or '10000',
    queue.event_id, 'event', name, ...)
  if type(told) == 'table' then
    blame(told)
    if queue.max_events ~= '10000' then  -- what is set may be no length
      queue.max_events = '10000'
      told = redis.pcall('XADD', queue.events_key, queue.event_id, 'event', name, ...)
    end
    if type(told) == 'table' then queue.events = 'none' end
  end
end
