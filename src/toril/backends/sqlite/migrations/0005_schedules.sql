-- schedules: rules that make jobs.
--
-- A slot is a moment of the calendar, epoch milliseconds, and so is next_ms: that of the newest job,
-- whose id is 'repeat:<id>:<next_ms>'.

CREATE TABLE schedules (
  queue_id   INTEGER NOT NULL,
  id         TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  data       TEXT,
  opts       TEXT    NOT NULL,
  every_ms   INTEGER,
  pattern    TEXT,                -- in place of every_ms
  timezone   TEXT,
  offset_ms  INTEGER,
  start_ms   INTEGER,
  end_ms     INTEGER,
  most       INTEGER,             -- how many jobs it makes in all; null: no limit
  made       INTEGER NOT NULL,    -- jobs so far
  number     INTEGER NOT NULL,    -- the newest job's, which begins anew with another timing
  next_ms    INTEGER NOT NULL,
  paused     INTEGER NOT NULL,
  beside     TEXT    NOT NULL,    -- JSON: what BullMQ cannot say
  declared   TEXT,                -- JSON: which code declares it
  PRIMARY KEY (queue_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_next ON schedules (queue_id, next_ms);
