-- alert_release: give the watch up.
--
-- KEYS
--   watch   hash    <prefix>::toril:{alerts}:watch
-- ARGV
--   holder  string
-- RETURNS
--   1 | 0
-- EMITS
--   nothing
-- COST
--   2 commands
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
