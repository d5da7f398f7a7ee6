-- audit_trim: remove the entries up to a position.
--
-- PARAMS
--   position  int
-- RETURNS
--   nothing
-- COST
--   as many rows as go
DELETE FROM audit
 WHERE position <= :position;
