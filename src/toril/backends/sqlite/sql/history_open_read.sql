-- history_open_read: counts of a queue that are not added to their periods yet.
--
-- PARAMS
--   queue_id  int
--   since     int   minute since 1970
--   until     int   minute since 1970; not in it
-- RETURNS
--   one row each: minute, task, cell, many, wait_ms, run_ms
-- COST
--   O(rows)
SELECT minute, task, cell, many, wait_ms, run_ms
  FROM history_open
 WHERE queue_id = :queue_id AND minute >= :since AND minute < :until
 ORDER BY minute, task, cell;
