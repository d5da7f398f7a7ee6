-- children_pending: whether a parent waits for a child.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row (0 or 1)
-- COST
--   one probe of children_fate
SELECT EXISTS (SELECT 1 FROM children WHERE parent_number = :parent_number AND fate = 'pending');
