-- schedules_pending: the jobs of one queue that are the next ones of their schedules.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row each (number)
-- COST
--   one probe of jobs_custom_id for each schedule of the queue
SELECT jobs.number
  FROM schedules
  JOIN jobs
    ON jobs.queue_id = schedules.queue_id
   AND jobs.custom_id = 'repeat:' || schedules.id || ':' || next_ms
 WHERE schedules.queue_id = :queue_id AND jobs.state IN ('wait', 'prioritized', 'delayed');
