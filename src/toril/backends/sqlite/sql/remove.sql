-- remove: remove jobs; their logs go by logs_remove.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
DELETE FROM jobs WHERE number IN (SELECT value FROM json_each(:numbers));
