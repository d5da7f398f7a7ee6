-- schedules_ids: the ids of a queue's schedules, in the order of their newest slots.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   one row each (id)
-- COST
--   one walk of schedules_next
SELECT id FROM schedules WHERE queue_id = :queue_id ORDER BY next_ms, id;
