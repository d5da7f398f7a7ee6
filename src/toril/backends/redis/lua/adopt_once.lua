-- adopt_once: take over jobs as `adopt` does, unless this call was carried out before.
--
-- KEYS
--   meta       hash    <prefix>:<queue>:meta
-- ARGV
--   frozen_ms  int     epoch milliseconds in tests; empty: the server's time
--   book       string  of the call: where its answer is remembered
--   number     int     of the call in its book
--   ttl_ms     int     for how long the book is kept from now on
--   jobs...    string  as in `adopt.lua`
-- RETURNS
--   as `adopt.lua`
-- EMITS
--   nothing
-- COST
--   3 commands more than `adopt.lua`
local calls = string.sub(KEYS[1], 1, -5) .. 'toril:calls:' .. ARGV[2]
local known = redis.call('HGET', calls, ARGV[3])
if known then return cjson.decode(known) end
local answers = adopt_jobs(ARGV[1], ARGV, 5)
redis.call('HSET', calls, ARGV[3], cjson.encode(answers))
redis.call('PEXPIRE', calls, ARGV[4])
return answers
