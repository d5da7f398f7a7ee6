-- job_ids: the ids of some jobs.
--
-- PARAMS
--   numbers  text  JSON array of job numbers
-- RETURNS
--   one row each (id), in the order given
-- COST
--   one probe a job
SELECT coalesce(jobs.custom_id, CAST(jobs.number AS TEXT))
  FROM json_each(:numbers) AS wanted
  JOIN jobs ON jobs.number = wanted.value
 ORDER BY wanted.key;
