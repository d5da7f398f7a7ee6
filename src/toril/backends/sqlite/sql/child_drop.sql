-- child_drop: a parent waits no more for a child, and knows nothing of it.
--
-- PARAMS
--   parent_number  int
--   queue          text
--   job_id         text
-- RETURNS
--   nothing; one row changed if the parent waited for it
-- COST
--   one row
DELETE FROM children
 WHERE parent_number = :parent_number AND queue = :queue AND job_id = :job_id
   AND fate = 'pending';
