-- wake_at: tell sleeping workers when the earliest delayed job is due.
local function wake_at(queue)
  local first = try('ZRANGE', queue.base .. 'delayed', 0, 0, 'WITHSCORES')
  if first and first[2] then mark(queue, first[2] / 4096, '1') end
end
