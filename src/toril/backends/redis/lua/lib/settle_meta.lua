-- settle_meta: write the cap of the event stream where a queue has none yet; it then exists.
local function settle_meta(queue)
  if not queue.max_events then
    queue.max_events = '10000'
    redis.call('HSET', queue.meta, 'opts.maxLenEvents', queue.max_events)
  end
end
