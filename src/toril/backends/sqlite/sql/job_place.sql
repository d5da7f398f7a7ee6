-- job_place: where a job stands in its line.
--
-- PARAMS
--   number  int
-- RETURNS
--   one row (priority, position)
-- COST
--   one probe of jobs
SELECT priority, position FROM jobs WHERE number = :number;
