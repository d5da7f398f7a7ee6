-- children_read: a page of a parent's children, in the order in which they were added.
--
-- PARAMS
--   parent_number  int
--   after          int   the last place of the page before
--   limit          int
-- RETURNS
--   one row each (queue, job_id, place, fate, value)
-- COST
--   one walk of children_place, no further than the page
SELECT queue, job_id, place, fate, value
  FROM children
 WHERE parent_number = :parent_number AND place > :after
 ORDER BY place
 LIMIT :limit;
