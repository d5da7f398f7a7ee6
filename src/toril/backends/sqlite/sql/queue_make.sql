-- queue_make: begin a queue.
--
-- PARAMS
--   name  text
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO queues (name) VALUES (:name);
