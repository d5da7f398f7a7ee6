-- job_delay: make a delayed job due at another moment.
--
-- PARAMS
--   due_ms    int   epoch milliseconds
--   position  int
--   delay_ms  int
--   number    int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs
   SET due_ms = :due_ms, position = :position, delay_ms = :delay_ms
 WHERE number = :number;
