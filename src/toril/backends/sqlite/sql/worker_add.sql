-- worker_add: announce a worker.
--
-- PARAMS
--   id              text
--   host            text
--   pid             int
--   queues          text  JSON array
--   concurrency     int
--   running         int
--   started_ms      int
--   beat_ms         int   steady clock
--   quiet           int   0: it claims jobs; 1: quiet; 2: paused
--   resident_bytes  int
--   version         text
--   tasks           text  JSON object: queue to names; or null
-- RETURNS
--   nothing
-- COST
--   one row
INSERT OR REPLACE INTO workers
  (id, host, pid, queues, concurrency, running, started_ms, beat_ms, quiet, resident_bytes, version,
   tasks)
VALUES (:id, :host, :pid, :queues, :concurrency, :running, :started_ms, :beat_ms, :quiet,
        :resident_bytes, :version, :tasks);
