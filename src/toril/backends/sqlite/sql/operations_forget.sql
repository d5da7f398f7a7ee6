-- operations_forget: forget operations that began before a moment.
--
-- PARAMS
--   before_ms  int
-- RETURNS
--   nothing
-- COST
--   one walk of operations_created, no further than to that moment
DELETE FROM operations WHERE created_ms < :before_ms;
