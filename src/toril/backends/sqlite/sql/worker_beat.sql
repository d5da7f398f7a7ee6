-- worker_beat: a worker lives.
--
-- PARAMS
--   beat_ms         int   steady clock
--   running         int
--   concurrency     int   jobs at once
--   quiet           int   0: it claims jobs; 1: quiet; 2: paused
--   resident_bytes  int
--   id              text
-- RETURNS
--   one row (wish, or null; size, or null), or none if it is not on the register
-- COST
--   one row
UPDATE workers
   SET beat_ms = :beat_ms, running = :running, concurrency = :concurrency, quiet = :quiet,
       resident_bytes = :resident_bytes
 WHERE id = :id
RETURNING wish, size_wish;
