-- history_set: write the attempts of a job anew.
--
-- PARAMS
--   history  text  JSON array
--   number   int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE jobs SET history = :history WHERE number = :number;
