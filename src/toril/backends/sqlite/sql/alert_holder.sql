-- alert_holder: who holds the watch.
--
-- RETURNS
--   one row (holder, until_ms), or none if nobody ever held it
-- COST
--   one row
SELECT holder, until_ms FROM alert_watch WHERE id = 1;
