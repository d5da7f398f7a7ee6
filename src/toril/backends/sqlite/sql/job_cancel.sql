-- job_cancel: note that a running job should stop, and should not run again if it comes back.
--
-- PARAMS
--   reason  text
--   number  int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET cancel_reason = :reason, deferred_failure = :reason WHERE number = :number;
