-- children_last: the last place among a parent's children.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row (place); 0 if it has none
-- COST
--   one probe of children_place
SELECT coalesce(max(place), 0)
  FROM children
 WHERE parent_number = :parent_number;
