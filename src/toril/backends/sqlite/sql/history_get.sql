-- history_get: the attempts of a job.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row (JSON array, or null), or none
-- COST
--   one row
SELECT history FROM jobs WHERE number = :number;
