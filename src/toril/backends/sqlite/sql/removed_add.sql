-- removed_add: keep jobs that an operation removes.
--
-- PARAMS
--   operation_id  text
--   queue         text
--   until_ms      int   kept for so long
--   bodies        text  JSON array of texts
-- RETURNS
--   nothing
-- COST
--   O(bytes of the jobs given)
INSERT INTO removed_jobs (operation_id, queue, until_ms, body)
SELECT :operation_id, :queue, :until_ms, value FROM json_each(:bodies) ORDER BY key;
