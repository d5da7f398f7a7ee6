-- calendar_set: note the calendar that is believed.
--
-- PARAMS
--   boot       int   start of the host
--   offset_ms  int   the calendar minus the steady clock
--   seen_ms    int   steady clock
-- RETURNS
--   nothing
-- COST
--   one row
INSERT OR REPLACE INTO calendar (id, boot, offset_ms, seen_ms)
VALUES (1, :boot, :offset_ms, :seen_ms);
