-- tally: count how attempts ended, in the minute that is open, for the history.
--
-- `ended` has three entries for each: 0 for completed, 1 for failed, 2 for retried; its place in `runs`;
-- its name. `runs` has two entries for each place: how long the job had waited in ms (negative: not
-- known), and when it was started, if it was. A field of the hash is <minute>:<cell>:<task>, with the
-- cells of `engine/tally.py`; `w` and `r` in place of a cell are the sums of waits and runs in ms.
--
-- It is one function, as making a function costs each call as much as a small command.
local function tally(queue, ended, runs)
  local now_ms, counts = queue.now_ms, {}
  local last_outcome, last_wait_ms, last_began_ms, cell
  for index = 1, #ended, 3 do
    local outcome, place, task = ended[index], ended[index + 1], ended[index + 2]
    local wait_ms, began_ms = runs[2 * place - 1] or -1, runs[2 * place] or now_ms + 1
    local count = counts[task]
    if not count then
      count = { w = 0, r = 0 }
      counts[task] = count
    end
    if wait_ms > 0 then count.w = count.w + wait_ms end
    if began_ms < now_ms then count.r = count.r + now_ms - began_ms end
    -- Those of one batch are often alike, to the millisecond.
    if outcome ~= last_outcome or wait_ms ~= last_wait_ms or began_ms ~= last_began_ms then
      last_outcome, last_wait_ms, last_began_ms = outcome, wait_ms, began_ms
      cell = outcome
      for _, ms in ipairs({ wait_ms, runs[2 * place] and math.max(0, now_ms - began_ms) or -1 }) do
        local bucket = ms >= 0 and 1 or 0
        if ms > 1 then  -- its bucket ends at a power of the root of two
          local mantissa, exponent = math.frexp(ms)
          bucket = 2 * exponent + 1
          if mantissa == 0.5 then bucket = bucket - 2
          elseif mantissa <= 0.7071067811865476 then bucket = bucket - 1 end
          bucket = math.min(bucket, 63)
        end
        cell = cell * 256 + bucket
      end
    end
    count[cell] = (count[cell] or 0) + 1
  end
  local key, minute = queue.base .. 'toril:history', math.floor(now_ms / 60000) .. ':'
  for task, count in pairs(counts) do
    if #task > 200 or task == '' or string.find(task, '[\128-\255]') and not rarely().is_utf8(task)
    then
      task = '*'
    end
    for what, many in pairs(count) do
      if many > 0 then
        local field = minute .. what .. ':' .. task
        if redis.call('HINCRBY', key, field, many) == many then
          rarely().make_room(key, field, many)
        end
      end
    end
  end
end
