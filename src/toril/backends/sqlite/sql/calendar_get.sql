-- calendar_get: the calendar that the file has seen.
--
-- RETURNS
--   one row (boot, offset_ms, seen_ms), or none
-- COST
--   one row
SELECT boot, offset_ms, seen_ms FROM calendar WHERE id = 1;
