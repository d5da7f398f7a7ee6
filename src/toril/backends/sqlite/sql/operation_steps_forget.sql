-- operation_steps_forget: forget the steps of operations that are forgotten.
--
-- RETURNS
--   nothing
-- COST
--   O(steps)
DELETE FROM operation_steps WHERE operation_id NOT IN (SELECT id FROM operations);
