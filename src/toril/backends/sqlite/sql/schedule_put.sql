-- schedule_put: make a schedule, or replace one.
--
-- PARAMS
--   queue_id   int
--   id         text
--   name       text
--   data       text
--   opts       text
--   every_ms   int
--   pattern    text
--   timezone   text
--   offset_ms  int
--   start_ms   int
--   end_ms     int
--   most       int
--   made       int
--   number     int
--   next_ms    int   epoch milliseconds
--   paused     int
--   beside     text
--   declared   text
-- RETURNS
--   nothing
-- COST
--   one row
INSERT OR REPLACE INTO schedules
VALUES (:queue_id, :id, :name, :data, :opts, :every_ms, :pattern, :timezone, :offset_ms, :start_ms,
        :end_ms, :most, :made, :number, :next_ms, :paused, :beside, :declared);
