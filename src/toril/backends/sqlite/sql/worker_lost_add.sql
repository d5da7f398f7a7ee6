-- worker_lost_add: note a worker that was found dead.
--
-- PARAMS
--   id       text
--   host     text
--   pid      int
--   queues   text  JSON array
--   seen_ms  int   when it was last heard of, epoch milliseconds
-- RETURNS
--   one row (position)
-- COST
--   one row
INSERT INTO lost_workers (id, host, pid, queues, seen_ms)
VALUES (:id, :host, :pid, :queues, :seen_ms)
RETURNING position;
