-- child_again: a child that had ended runs again, so its parent waits for it again.
--
-- PARAMS
--   parent_number  int
--   queue          text
--   job_id         text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE children
   SET fate = 'pending', value = NULL
 WHERE parent_number = :parent_number AND queue = :queue AND job_id = :job_id;
