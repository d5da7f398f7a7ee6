-- removed_expire: drop removed jobs that are kept no longer.
--
-- PARAMS
--   now_ms  int
--   limit   int
-- RETURNS
--   nothing
-- COST
--   one walk of removed_jobs_end, no further than the limit
DELETE FROM removed_jobs
 WHERE id IN (SELECT id FROM removed_jobs WHERE until_ms <= :now_ms LIMIT :limit);
