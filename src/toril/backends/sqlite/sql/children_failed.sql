-- children_failed: the first child whose failure fails its parent.
--
-- PARAMS
--   parent_number  int
-- RETURNS
--   one row (queue, job_id), or none
-- COST
--   one probe of children_fate
SELECT queue, job_id
  FROM children
 WHERE parent_number = :parent_number AND fate = 'failed'
 ORDER BY place
 LIMIT 1;
