-- history: what queues did, per task and minute, hour and day.

CREATE TABLE history_open (
  queue_id  INTEGER NOT NULL,
  minute    INTEGER NOT NULL,   -- since 1970
  task      TEXT    NOT NULL,   -- empty: how long the queue's next job has waited, in wait_ms
  cell      INTEGER NOT NULL,   -- outcome, bucket of the wait, bucket of the run (engine/tally.py)
  many      INTEGER NOT NULL,
  wait_ms   INTEGER NOT NULL,   -- sums
  run_ms    INTEGER NOT NULL,
  PRIMARY KEY (queue_id, minute, task, cell)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
  queue_id  INTEGER NOT NULL,
  level     INTEGER NOT NULL,   -- 0 a minute, 1 an hour, 2 a day, 3 ever
  start_ms  INTEGER NOT NULL,   -- epoch milliseconds
  task      TEXT    NOT NULL,
  tally     TEXT    NOT NULL,   -- JSON (engine/tally.py)
  PRIMARY KEY (queue_id, level, start_ms, task)
) STRICT, WITHOUT ROWID;

ALTER TABLE queues ADD COLUMN history INTEGER NOT NULL DEFAULT 1;  -- 0: none is written
-- Counts on their way to history_open: JSON, [minute, [task, cell, many, wait_ms, run_ms], ...]. The
-- row is written with every outcome anyway.
ALTER TABLE queues ADD COLUMN open_counts TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN ready_ms INTEGER;  -- delayed before: when due; -1: not known
