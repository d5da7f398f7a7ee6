-- history_drop_ahead: remove hours and days of a queue that are dated in the future.
--
-- PARAMS
--   queue_id  int
--   after_ms  int   epoch milliseconds
-- RETURNS
--   nothing
-- COST
--   O(rows that go)
DELETE FROM history
 WHERE queue_id = :queue_id AND level IN (1, 2) AND start_ms > :after_ms;
