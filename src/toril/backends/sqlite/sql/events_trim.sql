-- events_trim: drop old events of one queue.
--
-- PARAMS
--   queue_id  int
--   until     int   rows that end here or before
-- RETURNS
--   nothing
-- COST
--   O(rows dropped)
DELETE FROM events WHERE queue_id = :queue_id AND last <= :until;
