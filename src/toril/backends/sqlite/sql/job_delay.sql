-- job_delay: make a delayed job due at another moment.
--
-- PARAMS
--   due_ms         int   epoch milliseconds
--   position       int
--   delay_ms       int
--   boot           int   start of the host; null: it waits for that moment
--   due_steady_ms  int   steady clock; null: the same
--   number         int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs
   SET due_ms = :due_ms, position = :position, delay_ms = :delay_ms, boot = :boot,
       due_steady_ms = :due_steady_ms
 WHERE number = :number;
