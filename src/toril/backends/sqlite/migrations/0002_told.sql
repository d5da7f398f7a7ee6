-- told: which events a queue writes.

ALTER TABLE queues ADD COLUMN told TEXT NOT NULL DEFAULT 'all';  -- or 'outcomes', or 'none'
