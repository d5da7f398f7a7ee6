-- ties: which of these jobs are of a flow.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   one row each (number, id, parent, whether it has children), for those that are
-- COST
--   O(jobs given)
SELECT number, coalesce(custom_id, CAST(number AS TEXT)), parent,
       EXISTS (SELECT 1 FROM children WHERE parent_number = number) AS has_children
  FROM jobs
 WHERE number IN (SELECT value FROM json_each(:numbers))
   AND (parent IS NOT NULL OR has_children);
