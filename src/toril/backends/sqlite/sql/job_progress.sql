-- job_progress: keep what a running job reported.
--
-- PARAMS
--   progress  text  JSON
--   number    int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET progress = :progress WHERE number = :number;
