-- lease_renew: lengthen leases.
--
-- PARAMS
--   lease_ends_ms  int   steady clock
--   numbers        text  JSON array
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET lease_ends_ms = :lease_ends_ms
 WHERE number IN (SELECT value FROM json_each(:numbers));
