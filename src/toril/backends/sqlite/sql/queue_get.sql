-- queue_get: one queue with its settings and counts.
--
-- PARAMS
--   name  text
-- RETURNS
--   one row, or none
-- COST
--   one probe of queues (name)
SELECT id, name, paused, concurrency, rate_limit, rate_window_ms,
       window_begins_ms, window_ends_ms, window_count, held_from_ms, held_until_ms,
       event_last, completed_total, failed_total, keep_completed_age_ms, keep_failed_age_ms, told,
       deduplicates, flows, history, open_counts,
       n_wait, n_prioritized, n_delayed, n_waiting_children, n_active, n_completed, n_failed
  FROM queues
 WHERE name = :name;
