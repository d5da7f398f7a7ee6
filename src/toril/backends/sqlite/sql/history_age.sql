-- history_age: note how long the next job of a queue has waited; the longest of a minute stays.
--
-- PARAMS
--   queue_id  int
--   minute    int   since 1970
--   age_ms    int
-- RETURNS
--   nothing
-- COST
--   one probe
INSERT INTO history_open (queue_id, minute, task, cell, many, wait_ms, run_ms)
VALUES (:queue_id, :minute, '', 0, 0, :age_ms, 0)
    ON CONFLICT DO UPDATE SET wait_ms = max(wait_ms, excluded.wait_ms);
