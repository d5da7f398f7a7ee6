-- job_priority: give a job another priority; one in line moves.
--
-- PARAMS
--   priority  int
--   position  int   null: it keeps its place
--   state     text  null: it keeps its state
--   number    int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs
   SET priority = :priority, position = coalesce(:position, position), state = coalesce(:state, state)
 WHERE number = :number;
