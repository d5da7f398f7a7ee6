-- speak: store progress, payloads and log lines of running attempts.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   said...    string  eight each: queue (its place among the keys), id, token, attempt, progress
--                      and payload (JSON, or empty), how many lines to keep, a JSON list of lines
-- RETURNS
--   places of what was said too late (from 1), or could not be stored: it changed nothing
-- EMITS
--   progress
-- COST
--   up to 6 commands each
local frozen_ms = ARGV[1]
local opened, lost = {}, {}
local place = 0
for index = 2, #ARGV, 8 do
  place = place + 1
  local number = tonumber(ARGV[index])
  if not opened[number] then opened[number] = open_queue(KEYS[number], frozen_ms) end
  local queue, id, progress = opened[number], ARGV[index + 1], ARGV[index + 4]
  local key = queue.base .. id
  local lock = try('GET', key .. ':lock')
  if holds(queue, id, ARGV[index + 2], tonumber(ARGV[index + 3]), lock) then
    if progress ~= '' and try('HSET', key, 'progress', progress) then
      emit(queue, 'progress', 'jobId', id, 'data', progress)
    end
    local data = ARGV[index + 5]
    if data ~= '' and not try('HSET', key, 'data', data) then lost[#lost + 1] = place end
    local keep, lines = tonumber(ARGV[index + 6]), cjson.decode(ARGV[index + 7])
    if #lines > 0 and keep > 0 then
      if try('RPUSH', key .. ':logs', unpack(lines)) then
        redis.call('LTRIM', key .. ':logs', -keep, -1)
      end
    end
  else
    lost[#lost + 1] = place
  end
end
return lost
