-- children_forget: what parents know of their children goes with them.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(children of the parents)
DELETE FROM children WHERE parent_number IN (SELECT value FROM json_each(:numbers));
