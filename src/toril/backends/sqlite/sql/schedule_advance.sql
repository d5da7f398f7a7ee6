-- schedule_advance: move one schedule on.
--
-- PARAMS
--   made      int
--   number    int
--   next_ms   int   epoch milliseconds
--   data      text  the payload, if it has none
--   queue_id  int
--   id        text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE schedules
   SET made = :made, number = :number, next_ms = :next_ms, data = coalesce(data, :data)
 WHERE queue_id = :queue_id AND id = :id;
