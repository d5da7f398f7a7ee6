-- queue_save: keep a queue's settings and counts.
--
-- PARAMS
--   paused                 int
--   concurrency            int
--   rate_limit             int
--   rate_window_ms         int
--   window_begins_ms       int
--   window_ends_ms         int
--   window_count           int
--   held_from_ms           int
--   held_until_ms          int
--   event_last             int
--   completed_total        int
--   failed_total           int
--   keep_completed_age_ms  int
--   keep_failed_age_ms     int
--   told                   text
--   deduplicates           int
--   flows                  int
--   history                int
--   open_counts            text
--   n_wait                 int
--   n_prioritized          int
--   n_delayed              int
--   n_waiting_children     int
--   n_active               int
--   n_completed            int
--   n_failed               int
--   queue_id               int
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE queues
   SET paused = :paused,
       concurrency = :concurrency,
       rate_limit = :rate_limit,
       rate_window_ms = :rate_window_ms,
       window_begins_ms = :window_begins_ms,
       window_ends_ms = :window_ends_ms,
       window_count = :window_count,
       held_from_ms = :held_from_ms,
       held_until_ms = :held_until_ms,
       event_last = :event_last,
       completed_total = :completed_total,
       failed_total = :failed_total,
       keep_completed_age_ms = :keep_completed_age_ms,
       keep_failed_age_ms = :keep_failed_age_ms,
       told = :told,
       deduplicates = :deduplicates,
       flows = :flows,
       history = :history,
       open_counts = :open_counts,
       n_wait = :n_wait,
       n_prioritized = :n_prioritized,
       n_delayed = :n_delayed,
       n_waiting_children = :n_waiting_children,
       n_active = :n_active,
       n_completed = :n_completed,
       n_failed = :n_failed
 WHERE id = :queue_id;
