-- audit_page: entries before a position, newest first.
--
-- PARAMS
--   before  int   null: from the newest on
--   limit   int
-- RETURNS
--   one row each (position, at_ms, body)
-- COST
--   as many rows as are returned
SELECT position, at_ms, body
  FROM audit
 WHERE position < ifnull(:before, 9223372036854775807)
 ORDER BY position DESC
 LIMIT :limit;
