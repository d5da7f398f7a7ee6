-- jobs_taken: which of the callers' own ids are in use.
--
-- PARAMS
--   ids  text  JSON array of [queue_id, custom_id]
-- RETURNS
--   one row: JSON array of those that are
-- COST
--   one probe of jobs_custom_id each
SELECT json_group_array(json_array(jobs.queue_id, jobs.custom_id))
  FROM jsonb_each(:ids) AS wanted
 CROSS JOIN jobs ON jobs.queue_id = wanted.value ->> 0 AND jobs.custom_id = wanted.value ->> 1;
