-- sift: tell which of the keys that a scan has met need a closer look.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   max_bytes  int     payloads above this are reported
--   words...   string  what the keys have behind the queue's: <id> of a job, or <id>:<part> of it
-- RETURNS
--   {ids of jobs that are in a list or nowhere, ids whose payload is too large, ids of which there
--   is a part but no job, numbers under which something lies that is no job}
-- EMITS
--   nothing
-- COST
--   up to 8 commands a word; O(log N)
local base, max_bytes = string.sub(KEYS[1], 1, -5), tonumber(ARGV[1])
local unplaced, large, rests, strangers = {}, {}, {}, {}
for index = 2, #ARGV do
  local word = ARGV[index]
  local id = string.match(word, '^(.*):')
  if id then
    if is_rest(base, id) and redis.call('EXISTS', base .. word) == 1 then rests[#rests + 1] = id end
  else
    local named = try('HEXISTS', base .. word, 'name')
    if named == nil and string.find(word, '^%d+$') then strangers[#strangers + 1] = word end
    if named == 1 then
      if redis.call('HSTRLEN', base .. word, 'data') > max_bytes then large[#large + 1] = word end
      if in_no_set(base, word) then unplaced[#unplaced + 1] = word end
    end
  end
end
return { unplaced, large, rests, strangers }
