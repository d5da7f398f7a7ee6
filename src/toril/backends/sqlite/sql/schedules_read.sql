-- schedules_read: some schedules of one queue, each with the state of its newest job.
--
-- PARAMS
--   ids       text  JSON array of ids
--   queue_id  int
-- RETURNS
--   one row each (id, name, data, opts, every_ms, pattern, timezone, offset_ms, start_ms, end_ms,
--   most, made, number, next_ms, beside, state, declared) of those that are there
-- COST
--   one probe of schedules and one of jobs_custom_id each
SELECT schedules.id, schedules.name, schedules.data, schedules.opts, every_ms, pattern, timezone,
       offset_ms, start_ms, end_ms, most, made, schedules.number, next_ms, beside, jobs.state,
       declared
  FROM json_each(:ids) AS wanted
 CROSS JOIN schedules ON schedules.queue_id = :queue_id AND schedules.id = wanted.value
  LEFT JOIN jobs
    ON jobs.queue_id = schedules.queue_id
   AND jobs.custom_id = 'repeat:' || schedules.id || ':' || next_ms;
