-- deduplications_forget: forget all ids of a queue that goes.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   O(ids)
DELETE FROM deduplications WHERE queue_id = :queue_id;
