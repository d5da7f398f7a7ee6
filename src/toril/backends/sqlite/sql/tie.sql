-- tie: jobs become children.
--
-- PARAMS
--   ties  text  JSON array of [number, parent]; null: it has no parent any more
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET parent = ties.value ->> 1
  FROM jsonb_each(:ties) AS ties
 WHERE jobs.number = ties.value ->> 0;
