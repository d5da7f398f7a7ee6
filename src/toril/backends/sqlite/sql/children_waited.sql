-- children_waited: the children that a parent waits for.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row each (queue, job_id), in the order in which they were added
-- COST
--   O(children of the parent)
SELECT queue, job_id
  FROM children
 WHERE parent_number = :parent_number AND fate = 'pending'
 ORDER BY place;
