-- operation_add: store a new operation. The index keeps the newest thousand.
--
-- KEYS
--   operations  zset    <prefix>::toril:{operations}   ids by when they began, epoch ms
--   operation   hash    <prefix>::toril:{operations}:<id>
-- ARGV
--   frozen_ms   int     epoch milliseconds in tests; empty: the server's time
--   id          string
--   body        string
--   known_ms    int     for how long it is known
-- RETURNS
--   nothing
-- EMITS
--   nothing
-- COST
--   5 commands
local now_ms = time_now(ARGV[1])
local now, until_ms = string.format('%.0f', now_ms), string.format('%.0f', now_ms + ARGV[4])
redis.call('HSET', KEYS[2], 'body', ARGV[3], 'created_ms', now, 'state', 'running')
redis.call('PEXPIREAT', KEYS[2], until_ms)
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('PEXPIREAT', KEYS[1], until_ms)
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1001)
