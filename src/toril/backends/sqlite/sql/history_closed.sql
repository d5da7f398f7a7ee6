-- history_closed: counts of minutes that are over, or that only a wrong calendar can have written.
--
-- PARAMS
--   minute  int   since 1970: the one that is open
--   limit   int
-- RETURNS
--   one row each: queue_id, minute, task, cell, many, wait_ms, run_ms
-- COST
--   one walk of history_open
SELECT queue_id, history_open.minute, task, cell, many, wait_ms, run_ms
  FROM history_open, (SELECT :minute AS minute) AS open
 WHERE history_open.minute < open.minute OR history_open.minute > open.minute + 1440
 ORDER BY queue_id, history_open.minute, task, cell
 LIMIT :limit;
