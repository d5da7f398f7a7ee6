-- explain: since when a queue is paused, and which names a worker can run.

ALTER TABLE queues ADD COLUMN paused_at_ms INTEGER;  -- null: it is not paused, or nobody knows
ALTER TABLE workers ADD COLUMN tasks TEXT;           -- JSON: queue to names; null: not known
