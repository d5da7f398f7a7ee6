-- child_facts: what is told of a job to those who look at its parent.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row (name, state, failed_reason, whether it has children), or none
-- COST
--   one row, and a probe of children
SELECT name, state, failed_reason,
       EXISTS (SELECT 1 FROM children WHERE parent_number = number)
  FROM jobs
 WHERE number = :number;
