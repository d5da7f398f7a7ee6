-- schedules_overdue: schedules whose slot has come, and whose job has finished or is gone.
--
-- PARAMS
--   queue_id  int
--   until_ms  int   epoch milliseconds: the slot has come by then
--   now_ms    int   epoch milliseconds
--   limit     int
-- RETURNS
--   one row each (id)
-- COST
--   a walk of schedules_next up to the moment, and one probe of jobs_custom_id each
SELECT schedules.id
  FROM schedules
  LEFT JOIN jobs
    ON jobs.queue_id = schedules.queue_id
   AND jobs.custom_id = 'repeat:' || schedules.id || ':' || next_ms
 WHERE schedules.queue_id = :queue_id AND next_ms <= :until_ms AND NOT paused
   AND (most IS NULL OR schedules.number < most)
   AND (end_ms IS NULL OR end_ms > :now_ms)
   AND (jobs.state IS NULL OR jobs.state IN ('completed', 'failed'))
 ORDER BY next_ms
 LIMIT :limit;
