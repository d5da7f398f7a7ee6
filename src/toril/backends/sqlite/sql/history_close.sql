-- history_close: counts that were added to their periods go.
--
-- PARAMS
--   cells  text  JSON array of [queue_id, minute, task, cell]
-- RETURNS
--   nothing
-- COST
--   one probe each
DELETE FROM history_open
 WHERE (queue_id, minute, task, cell) IN (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
                                            FROM json_each(:cells));
