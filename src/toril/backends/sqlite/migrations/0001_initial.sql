-- initial: queues, jobs, logs, events and workers.
--
-- Moments named *_ms are epoch milliseconds, but for those of leases, beats, rate windows and holds:
-- those are readings of the host's steady clock, which a change of the calendar cannot move. It
-- begins anew when the host starts; a span that begins in its future is from before and over.

CREATE TABLE counters (
  id          INTEGER PRIMARY KEY CHECK (id = 1),
  job_number  INTEGER NOT NULL,   -- last number given to a job
  ticket      INTEGER NOT NULL    -- last place given in a line
) STRICT;
INSERT INTO counters VALUES (1, 0, 0);

CREATE TABLE queues (
  id                     INTEGER PRIMARY KEY,
  name                   TEXT    NOT NULL UNIQUE,
  paused                 INTEGER NOT NULL DEFAULT 0,
  concurrency            INTEGER,
  rate_limit             INTEGER,
  rate_window_ms         INTEGER,
  window_begins_ms       INTEGER NOT NULL DEFAULT 0,  -- steady clock: the rate window
  window_ends_ms         INTEGER NOT NULL DEFAULT 0,
  window_count           INTEGER NOT NULL DEFAULT 0,  -- jobs started in it
  held_from_ms           INTEGER NOT NULL DEFAULT 0,  -- steady clock: nothing starts meanwhile
  held_until_ms          INTEGER NOT NULL DEFAULT 0,
  event_last             INTEGER NOT NULL DEFAULT 0,  -- number of the newest event
  n_wait                 INTEGER NOT NULL DEFAULT 0,
  n_prioritized          INTEGER NOT NULL DEFAULT 0,
  n_delayed              INTEGER NOT NULL DEFAULT 0,
  n_active               INTEGER NOT NULL DEFAULT 0,
  n_completed            INTEGER NOT NULL DEFAULT 0,
  n_failed               INTEGER NOT NULL DEFAULT 0,
  completed_total        INTEGER NOT NULL DEFAULT 0,
  failed_total           INTEGER NOT NULL DEFAULT 0,
  keep_completed_age_ms  INTEGER,                     -- the latest policy, for trimming while idle
  keep_failed_age_ms     INTEGER
) STRICT;

CREATE TABLE jobs (
  number            INTEGER PRIMARY KEY,
  queue_id          INTEGER NOT NULL REFERENCES queues (id),
  state             TEXT    NOT NULL,
  priority          INTEGER NOT NULL,
  position          INTEGER NOT NULL,   -- place in line; negative: put at its front
  due_ms            INTEGER,            -- delayed: when it may run
  lease_ends_ms     INTEGER,
  lease_ms          INTEGER,
  token             TEXT,
  worker_id         TEXT,
  attempts_started  INTEGER NOT NULL DEFAULT 0,
  attempts_made     INTEGER NOT NULL DEFAULT 0,
  stalled           INTEGER NOT NULL DEFAULT 0,
  processed_ms      INTEGER,
  finished_ms       INTEGER,
  timestamp_ms      INTEGER NOT NULL,
  delay_ms          INTEGER NOT NULL DEFAULT 0,
  custom_id         TEXT,               -- null: the id is the number
  name              TEXT    NOT NULL,
  progress          TEXT,
  deferred_failure  TEXT,
  cancel_reason     TEXT,
  failed_reason     TEXT,
  result            TEXT,
  history           TEXT,               -- JSON array of ended attempts, but for a final success
  opts              TEXT    NOT NULL,
  data              TEXT    NOT NULL
) STRICT;

CREATE INDEX jobs_line ON jobs (queue_id, priority, position)
  WHERE state IN ('wait', 'prioritized');
CREATE INDEX jobs_delayed ON jobs (queue_id, due_ms, position) WHERE state = 'delayed';
CREATE INDEX jobs_active ON jobs (queue_id, lease_ends_ms) WHERE state = 'active';
CREATE INDEX jobs_finished ON jobs (queue_id, state, finished_ms)
  WHERE state IN ('completed', 'failed');
CREATE UNIQUE INDEX jobs_custom_id ON jobs (queue_id, custom_id) WHERE custom_id IS NOT NULL;

CREATE TABLE logs (
  job_number  INTEGER NOT NULL,
  line_number INTEGER NOT NULL,
  line        TEXT    NOT NULL,
  PRIMARY KEY (job_number, line_number)
) STRICT, WITHOUT ROWID;

-- One row holds the events of one queue in one transaction.
CREATE TABLE events (
  id        INTEGER PRIMARY KEY,
  queue_id  INTEGER NOT NULL,
  last      INTEGER NOT NULL,           -- number of the row's last event
  at_ms     INTEGER NOT NULL,
  body      TEXT    NOT NULL            -- JSON array of [name, job id, more fields]
) STRICT;
CREATE UNIQUE INDEX events_position ON events (queue_id, last);

CREATE TABLE workers (
  id              TEXT    PRIMARY KEY,
  host            TEXT    NOT NULL,
  pid             INTEGER NOT NULL,
  queues          TEXT    NOT NULL,     -- JSON array
  concurrency     INTEGER NOT NULL,
  running         INTEGER NOT NULL,
  started_ms      INTEGER NOT NULL,
  beat_ms         INTEGER NOT NULL,
  quiet           INTEGER NOT NULL,
  resident_bytes  INTEGER NOT NULL,
  version         TEXT    NOT NULL,
  dead            INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
