-- sessions: since when and from where browsers are signed in.

ALTER TABLE access_sessions ADD COLUMN begun_ms INTEGER;  -- null: begun before this was kept
ALTER TABLE access_sessions ADD COLUMN seen_ms INTEGER;   -- when it was last used, to a minute
ALTER TABLE access_sessions ADD COLUMN place TEXT NOT NULL DEFAULT '';  -- from where, at that time
ALTER TABLE access_sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';  -- by which browser

CREATE INDEX access_sessions_whose ON access_sessions (kind, name);
