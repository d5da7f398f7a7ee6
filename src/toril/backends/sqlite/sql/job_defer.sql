-- job_defer: whoever takes this job next fails it without running it.
--
-- PARAMS
--   reason  text
--   number  int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET deferred_failure = :reason WHERE number = :number;
