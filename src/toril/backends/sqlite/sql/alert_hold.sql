-- alert_hold: take the watch, or go on holding it.
--
-- PARAMS
--   holder    text
--   until_ms  int   for how long
--   now_ms    int
-- RETURNS
--   one row (id) if it was taken, or none
-- COST
--   one row
INSERT INTO alert_watch (id, holder, until_ms) VALUES (1, :holder, :until_ms)
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
  WHERE alert_watch.until_ms <= :now_ms OR alert_watch.holder = excluded.holder
RETURNING id;
