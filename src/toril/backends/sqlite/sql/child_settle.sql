-- child_settle: a child that its parent waits for has ended.
--
-- PARAMS
--   fate           text  completed, failed or ignored
--   value          text  its result, or why it failed
--   parent_number  int
--   queue          text
--   job_id         text
-- RETURNS
--   nothing; one row changed if the parent waited for it
-- COST
--   one row
UPDATE children
   SET fate = :fate, value = :value
 WHERE parent_number = :parent_number AND queue = :queue AND job_id = :job_id
   AND fate = 'pending';
