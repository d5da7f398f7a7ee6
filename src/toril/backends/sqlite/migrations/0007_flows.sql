-- flows: parents, and the children that they wait for.
--
-- A parent that waits is in the state 'waiting-children', with the moment since when in due_ms.

ALTER TABLE jobs ADD COLUMN parent TEXT;                               -- JSON: [queue, id, on_failure]
ALTER TABLE queues ADD COLUMN flows INTEGER NOT NULL DEFAULT 0;        -- 1: once a job was of a flow
ALTER TABLE queues ADD COLUMN n_waiting_children INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_parents ON jobs (queue_id, due_ms, position) WHERE state = 'waiting-children';

CREATE TABLE children (
  parent_number  INTEGER NOT NULL,
  queue          TEXT    NOT NULL,
  job_id         TEXT    NOT NULL,   -- of the child, which may be gone
  place          INTEGER NOT NULL,   -- in the order in which they were added
  fate           TEXT    NOT NULL,   -- pending, completed, failed or ignored
  value          TEXT,               -- completed: its result, JSON; failed, ignored: why
  PRIMARY KEY (parent_number, queue, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX children_fate ON children (parent_number, fate, place);
CREATE INDEX children_place ON children (parent_number, place);
