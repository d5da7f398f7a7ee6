-- removed_forget: drop some removed jobs.
--
-- PARAMS
--   ids  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
DELETE FROM removed_jobs WHERE id IN (SELECT value FROM json_each(:ids));
