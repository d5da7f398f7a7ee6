-- sizes: how many jobs somebody wants a worker to run at once.

ALTER TABLE workers ADD COLUMN size_wish TEXT;  -- null: nothing so far
