-- alerts: what is known of them, who watches, and workers that were found dead.

CREATE TABLE alerts (
  kind  INTEGER NOT NULL,   -- place in ALERT_ROW_KINDS (engine/contract/alerts.py)
  key   TEXT    NOT NULL,
  body  TEXT    NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_watch (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  holder    TEXT    NOT NULL,
  until_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE lost_workers (
  position  INTEGER PRIMARY KEY,
  id        TEXT    NOT NULL,
  host      TEXT    NOT NULL,
  pid       INTEGER NOT NULL,
  queues    TEXT    NOT NULL,   -- JSON array
  seen_ms   INTEGER NOT NULL    -- when it was last heard of, epoch milliseconds
) STRICT;
