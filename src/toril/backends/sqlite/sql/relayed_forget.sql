-- relayed_forget: forget the rows of outboxes of a queue that goes.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   O(rows)
DELETE FROM relayed WHERE queue_id = :queue_id;
