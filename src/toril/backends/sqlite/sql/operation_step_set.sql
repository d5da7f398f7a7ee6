-- operation_step_set: note how far an operation has come in a queue.
--
-- PARAMS
--   operation_id  text
--   queue         text
--   version       int
--   place         text
--   done          int
--   refused       int
--   looked_at     int
-- RETURNS
--   nothing
-- COST
--   one write
INSERT INTO operation_steps (operation_id, queue, version, place, done, refused, looked_at)
VALUES (:operation_id, :queue, :version, :place, :done, :refused, :looked_at)
    ON CONFLICT DO UPDATE
   SET version = excluded.version, place = excluded.place, done = excluded.done,
       refused = excluded.refused, looked_at = excluded.looked_at;
