-- alert_release: give the watch up.
--
-- PARAMS
--   holder  text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM alert_watch WHERE holder = :holder;
