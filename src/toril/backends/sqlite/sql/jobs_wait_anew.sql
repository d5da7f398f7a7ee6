-- jobs_wait_anew: note the waits that an earlier start of the host noted by the clock of this one.
--
-- None becomes longer than it was to be in all, whatever the calendar says.
--
-- PARAMS
--   boot       int   start of the host
--   steady_ms  int   steady clock
--   now_ms     int   epoch milliseconds
--   queue_id   int
--   limit      int
-- RETURNS
--   nothing
-- COST
--   O(jobs of earlier starts, up to the limit)
UPDATE jobs
   SET boot = :boot, due_steady_ms = :steady_ms + max(0, min(delay_ms, due_ms - :now_ms))
 WHERE number IN (SELECT number
                    FROM jobs
                   WHERE queue_id = :queue_id AND state = 'delayed' AND boot < :boot
                   UNION ALL
                  SELECT number
                    FROM jobs
                   WHERE queue_id = :queue_id AND state = 'delayed' AND boot > :boot
                   LIMIT :limit);
