-- deduplications: which job holds which de-duplication id.
--
-- A time is by the calendar, unlike those of leases: it may be days, and has to outlast the host's
-- next start.

ALTER TABLE queues ADD COLUMN deduplicates INTEGER NOT NULL DEFAULT 0;  -- 1: once an id was held

CREATE TABLE deduplications (
  queue_id    INTEGER NOT NULL,
  id          TEXT    NOT NULL,
  job_number  INTEGER NOT NULL,   -- its holder, which may be gone while a time runs
  job_id      TEXT    NOT NULL,
  ends_ms     INTEGER,            -- null: when its holder finishes
  aside       TEXT,               -- JSON: the job to add then
  PRIMARY KEY (queue_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX deduplications_holder ON deduplications (job_number);
CREATE INDEX deduplications_end ON deduplications (queue_id, ends_ms) WHERE ends_ms IS NOT NULL;
