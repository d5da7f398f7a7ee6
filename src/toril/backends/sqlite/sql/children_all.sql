-- children_all: the children of a parent, whatever became of them.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row each (queue, job_id), in the order in which they were added
-- COST
--   O(children of the parent)
SELECT queue, job_id
  FROM children
 WHERE parent_number = :parent_number
 ORDER BY place;
