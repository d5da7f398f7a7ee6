-- complete_one: one job is done, if its token still holds.
--
-- PARAMS
--   now_ms         int   epoch milliseconds
--   attempts_made  int
--   result         text
--   number         int
--   token          text
-- RETURNS
--   nothing; one row changed if the token held
-- COST
--   one row
UPDATE jobs
   SET state = 'completed', finished_ms = :now_ms, attempts_made = :attempts_made,
       result = :result, token = NULL, lease_ends_ms = NULL, cancel_reason = NULL,
       failed_reason = NULL, deferred_failure = NULL
 WHERE number = :number AND state = 'active' AND token = :token;
