-- wishes: what somebody wants a worker to do.

ALTER TABLE workers ADD COLUMN wish TEXT;  -- null: nothing so far
