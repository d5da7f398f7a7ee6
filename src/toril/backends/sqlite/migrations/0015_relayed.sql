-- relayed: which rows of outboxes have become jobs, until the rows are gone.

CREATE TABLE relayed (
  queue_id  INTEGER NOT NULL,
  mark      TEXT    NOT NULL,
  at_ms     INTEGER NOT NULL,   -- when the job was added, epoch milliseconds
  PRIMARY KEY (queue_id, mark)
) STRICT, WITHOUT ROWID;

CREATE INDEX relayed_at ON relayed (queue_id, at_ms);
