-- history_count: count attempts that have ended, in the minute that is open.
--
-- PARAMS
--   minute  int   since 1970
--   counts  text  JSON array of [queue_id, task, cell, many, wait_ms, run_ms]
-- RETURNS
--   nothing
-- COST
--   one probe each
INSERT INTO history_open (queue_id, minute, task, cell, many, wait_ms, run_ms)
SELECT value ->> 0, minute, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
  FROM (SELECT :minute AS minute), json_each(:counts)
 WHERE true
    ON CONFLICT DO UPDATE SET many = many + excluded.many, wait_ms = wait_ms + excluded.wait_ms,
                              run_ms = run_ms + excluded.run_ms;
