-- park: jobs wait for their children.
--
-- PARAMS
--   now_ms   int   epoch milliseconds
--   numbers  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = 'waiting-children', due_ms = :now_ms
 WHERE number IN (SELECT value FROM json_each(:numbers));
