-- doctor_lapsed: running jobs whose lease has ended.
--
-- PARAMS
--   steady_ms  int   steady clock
-- RETURNS
--   one row (count)
-- COST
--   O(running jobs)
SELECT count(*) FROM jobs WHERE state = 'active' AND lease_ends_ms <= :steady_ms;
