-- dead_letters: where the failures of a queue leave letters.

CREATE TABLE dead_letters (
  queue_id  INTEGER PRIMARY KEY REFERENCES queues (id),
  target    TEXT    NOT NULL,   -- name of the dead-letter queue
  keep_ms   INTEGER             -- letters that failed longer ago are removed; null: never
) STRICT;

-- Jobs that the store itself has failed, in place of a success: parents that ended before their
-- children. Whoever looks after letters writes theirs.
CREATE TABLE unlettered (
  place     INTEGER PRIMARY KEY AUTOINCREMENT,
  queue_id  INTEGER NOT NULL REFERENCES queues (id),
  number    INTEGER NOT NULL    -- of the job, which may be gone
) STRICT;

CREATE INDEX unlettered_queue ON unlettered (queue_id);
