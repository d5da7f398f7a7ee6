-- queue_names: the names of all queues.
--
-- RETURNS
--   one row each
-- COST
--   O(queues)
SELECT name FROM queues ORDER BY name;
