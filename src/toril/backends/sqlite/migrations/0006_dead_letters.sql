-- dead_letters: where the failures of a queue leave letters.

CREATE TABLE dead_letters (
  queue_id  INTEGER PRIMARY KEY REFERENCES queues (id),
  target    TEXT    NOT NULL,   -- name of the dead-letter queue
  keep_ms   INTEGER             -- letters that failed longer ago are removed; null: never
) STRICT;
