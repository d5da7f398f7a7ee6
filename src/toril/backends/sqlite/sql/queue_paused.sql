-- queue_paused: note since when a queue is paused.
--
-- PARAMS
--   paused_at_ms  int   null: it is not paused any more
--   queue_id      int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE queues SET paused_at_ms = :paused_at_ms WHERE id = :queue_id;
