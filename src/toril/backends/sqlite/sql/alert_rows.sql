-- alert_rows: all rows of a kind, by key.
--
-- PARAMS
--   kind  int   place in ALERT_ROW_KINDS
-- RETURNS
--   one row (key, body) each
-- COST
--   O(rows)
SELECT key, body FROM alerts WHERE kind = :kind ORDER BY key;
