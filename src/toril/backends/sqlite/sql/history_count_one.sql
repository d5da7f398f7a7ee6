-- history_count_one: count one attempt that has ended, in the minute that is open.
--
-- PARAMS
--   minute    int   since 1970
--   queue_id  int
--   task      text
--   cell      int
--   many      int
--   wait_ms   int
--   run_ms    int
-- RETURNS
--   nothing
-- COST
--   one probe
INSERT INTO history_open (minute, queue_id, task, cell, many, wait_ms, run_ms)
VALUES (:minute, :queue_id, :task, :cell, :many, :wait_ms, :run_ms)
    ON CONFLICT DO UPDATE SET many = many + excluded.many, wait_ms = wait_ms + excluded.wait_ms,
                              run_ms = run_ms + excluded.run_ms;
