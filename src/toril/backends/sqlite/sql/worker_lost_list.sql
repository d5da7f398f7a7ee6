-- worker_lost_list: workers that were found dead, newest first.
--
-- RETURNS
--   one row (id, host, pid, queues, seen_ms) each
-- COST
--   O(rows)
SELECT id, host, pid, queues, seen_ms FROM lost_workers ORDER BY position DESC;
