-- due_next: how long until the next delayed job may run.
--
-- PARAMS
--   now_ms     int   epoch milliseconds
--   queue_id   int
--   steady_ms  int   steady clock
--   boot       int   start of the host
-- RETURNS
--   one row: milliseconds, 0 or less if it may run now; null if none is delayed
-- COST
--   a probe of jobs_delayed and one of jobs_due_steady
SELECT min(wait_ms)
  FROM (SELECT due_ms - :now_ms AS wait_ms
          FROM (SELECT due_ms
                  FROM jobs
                 WHERE queue_id = :queue_id AND state = 'delayed'
                 ORDER BY due_ms
                 LIMIT 1)
         UNION ALL
        SELECT due_steady_ms - :steady_ms
          FROM (SELECT due_steady_ms
                  FROM jobs
                 WHERE queue_id = :queue_id AND state = 'delayed' AND boot = :boot
                 ORDER BY due_steady_ms
                 LIMIT 1));
