-- operations: what is done to many jobs, who does it, how far it has come, and what was removed.

CREATE TABLE operations (
  id          TEXT    PRIMARY KEY,
  body        TEXT    NOT NULL,           -- JSON: what to do
  created_ms  INTEGER NOT NULL,
  state       TEXT    NOT NULL DEFAULT 'running',
  wanted      TEXT    NOT NULL DEFAULT '',  -- or 'cancel'
  note        TEXT    NOT NULL DEFAULT '',
  ended_ms    INTEGER,
  holder      TEXT    NOT NULL DEFAULT '',
  until_ms    INTEGER NOT NULL DEFAULT 0  -- for how long the holder drives it
) STRICT, WITHOUT ROWID;

CREATE INDEX operations_created ON operations (created_ms);

CREATE TABLE operation_steps (
  operation_id  TEXT    NOT NULL,
  queue         TEXT    NOT NULL,
  version       INTEGER NOT NULL,
  place         TEXT    NOT NULL,
  done          INTEGER NOT NULL,
  refused       INTEGER NOT NULL,
  looked_at     INTEGER NOT NULL,
  PRIMARY KEY (operation_id, queue)
) STRICT, WITHOUT ROWID;

CREATE TABLE removed_jobs (
  id            INTEGER PRIMARY KEY,
  operation_id  TEXT    NOT NULL,
  queue         TEXT    NOT NULL,
  until_ms      INTEGER NOT NULL,         -- kept for so long
  body          TEXT    NOT NULL          -- JSON: the whole job
) STRICT;

CREATE INDEX removed_jobs_operation ON removed_jobs (operation_id, queue, id);
CREATE INDEX removed_jobs_end ON removed_jobs (until_ms);
