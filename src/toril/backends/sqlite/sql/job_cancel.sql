-- job_cancel: note that a running job should stop.
--
-- PARAMS
--   reason  text
--   number  int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET cancel_reason = :reason WHERE number = :number;
