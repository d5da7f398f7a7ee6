-- add_once: add jobs as `add` does, unless this call was carried out before; then answer the same.
--
-- KEYS
--   metas...   hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   book       string  of the call: where its answer is remembered
--   number     int     of the call in its book
--   ttl_ms     int     for how long the book is kept from now on; 0: as long as it is kept already
--   jobs...    string  as in `add.lua`
-- RETURNS
--   as `add.lua`
-- EMITS
--   as `add.lua`
-- COST
--   2 commands more than `add.lua`
local function known_answers(known)
  if string.sub(known, 1, 1) == '=' then return { string.sub(known, 2) } end
  return cjson.decode(known)
end

local calls = string.sub(KEYS[1], 1, -5) .. 'toril:calls:' .. ARGV[2]
local known = redis.call('HGET', calls, ARGV[3])
if known then return known_answers(known) end
local answers = add_jobs(ARGV[1], ARGV, 5)
-- By far the commonest is one id, which needs no JSON.
local one = #answers == 1 and type(answers[1]) == 'string' and '=' .. answers[1]
redis.call('HSET', calls, ARGV[3], one or cjson.encode(answers))
if ARGV[4] ~= '0' then redis.call('PEXPIRE', calls, ARGV[4]) end
return answers
