-- alert_drop: remove a row.
--
-- PARAMS
--   kind  int   place in ALERT_ROW_KINDS
--   key   text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM alerts WHERE kind = :kind AND key = :key;
