-- job_add: add one job.
--
-- PARAMS
--   number        int
--   queue_id      int
--   custom_id     text
--   name          text
--   data          text
--   opts          text
--   state         text
--   priority      int
--   position      int
--   timestamp_ms  int   epoch milliseconds
--   delay_ms      int
--   due_ms        int   epoch milliseconds
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO jobs (number, queue_id, custom_id, name, data, opts, state,
                  priority, position, timestamp_ms, delay_ms, due_ms)
VALUES (:number, :queue_id, :custom_id, :name, :data, :opts, :state,
        :priority, :position, :timestamp_ms, :delay_ms, :due_ms);
