-- history_trim: remove periods of a queue that are older than they are kept.
--
-- PARAMS
--   queue_id   int
--   level      int
--   before_ms  int   epoch milliseconds
--   limit      int
-- RETURNS
--   nothing
-- COST
--   O(rows that go)
DELETE FROM history
 WHERE (queue_id, level, start_ms, task) IN (
       SELECT queue_id, level, start_ms, task
         FROM history
        WHERE queue_id = :queue_id AND level = :level AND start_ms < :before_ms
        ORDER BY start_ms
        LIMIT :limit);
