-- due_find: delayed jobs whose moment has come, or whose wait is over, soonest first.
--
-- PARAMS
--   queue_id   int
--   now_ms     int   epoch milliseconds
--   limit      int
--   boot       int   start of the host
--   steady_ms  int   steady clock
-- RETURNS
--   one row: JSON array of [number, id, priority]
-- COST
--   a walk of jobs_delayed and one of jobs_due_steady
SELECT json_group_array(json_array(number, coalesce(custom_id, CAST(number AS TEXT)), priority))
  FROM (SELECT number, custom_id, priority
          FROM jobs
         WHERE number IN (
               SELECT number
                 FROM (SELECT number
                         FROM jobs
                        WHERE queue_id = :queue_id AND state = 'delayed'
                          AND due_ms <= :now_ms
                        ORDER BY due_ms, position
                        LIMIT :limit)
                UNION
               SELECT number
                 FROM (SELECT number
                         FROM jobs
                        WHERE queue_id = :queue_id AND state = 'delayed'
                          AND boot = :boot
                          AND due_steady_ms <= :steady_ms
                        ORDER BY due_steady_ms
                        LIMIT :limit))
         ORDER BY due_ms, position
         LIMIT :limit);
