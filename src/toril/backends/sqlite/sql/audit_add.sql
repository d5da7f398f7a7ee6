-- audit_add: write an entry of the audit log.
--
-- PARAMS
--   at_ms  int    epoch milliseconds
--   body   text   JSON
-- RETURNS
--   one row (position)
-- COST
--   one row
INSERT INTO audit (at_ms, body)
VALUES (:at_ms, :body)
RETURNING position;
