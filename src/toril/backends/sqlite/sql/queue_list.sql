-- queue_list: all queues with their settings and counts, by name.
--
-- RETURNS
--   one row each
-- COST
--   O(queues)
SELECT id, name, paused, concurrency, rate_limit, rate_window_ms,
       window_begins_ms, window_ends_ms, window_count, held_from_ms, held_until_ms,
       event_last, completed_total, failed_total, keep_completed_age_ms, keep_failed_age_ms, told,
       deduplicates, flows, history, open_counts,
       n_wait, n_prioritized, n_delayed, n_waiting_children, n_active, n_completed, n_failed
  FROM queues
 ORDER BY name;
