-- dead_letter_set: say where failures of a queue leave letters.
--
-- PARAMS
--   queue_id  int
--   target    text
--   keep_ms   int
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO dead_letters (queue_id, target, keep_ms)
VALUES (:queue_id, :target, :keep_ms)
    ON CONFLICT (queue_id) DO UPDATE SET target = excluded.target, keep_ms = excluded.keep_ms;
