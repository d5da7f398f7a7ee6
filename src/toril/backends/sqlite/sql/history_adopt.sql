-- history_adopt: take rows of another store; those that are there already stay.
--
-- PARAMS
--   queue_id  int
--   level     int
--   rows      text  JSON array of [start_ms, task, tally]
-- RETURNS
--   nothing
-- COST
--   one probe each
INSERT OR IGNORE INTO history (queue_id, level, start_ms, task, tally)
SELECT queue_id, level, value ->> 0, value ->> 1, value ->> 2
  FROM (SELECT :queue_id AS queue_id, :level AS level), json_each(:rows);
