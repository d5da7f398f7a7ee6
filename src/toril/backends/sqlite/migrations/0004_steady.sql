-- steady: durations by the host's steady clock, and what calendar the file has seen.
--
-- A job that was put off for a duration also notes when that is over by the steady clock, and in
-- which start of the host (boots.py): its wait cannot become longer when the calendar is put right.
-- Null for a job that waits for a moment, and for those that an earlier version has put off.

ALTER TABLE jobs ADD COLUMN boot INTEGER;
ALTER TABLE jobs ADD COLUMN due_steady_ms INTEGER;

CREATE INDEX jobs_due_steady ON jobs (queue_id, boot, due_steady_ms)
  WHERE state = 'delayed' AND boot IS NOT NULL;

ALTER TABLE deduplications ADD COLUMN boot INTEGER;
ALTER TABLE deduplications ADD COLUMN ends_steady_ms INTEGER;

CREATE TABLE calendar (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  boot       INTEGER NOT NULL,    -- start of the host that the two below belong to
  offset_ms  INTEGER NOT NULL,    -- the calendar minus the steady clock, the least that was seen
  seen_ms    INTEGER NOT NULL     -- steady clock: when it was last seen
) STRICT;
