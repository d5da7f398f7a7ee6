-- children_fates: how many children a parent has, by their fate.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row each (fate, how many)
-- COST
--   O(children of the parent)
SELECT fate, count(*)
  FROM children
 WHERE parent_number = :parent_number
 GROUP BY fate;
