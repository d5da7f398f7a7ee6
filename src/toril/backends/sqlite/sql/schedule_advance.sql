-- schedule_advance: move one schedule on.
--
-- PARAMS
--   made      int
--   number    int
--   next_ms   int   epoch milliseconds
--   queue_id  int
--   id        text
-- RETURNS
--   nothing
-- COST
--   one row
UPDATE schedules
   SET made = :made, number = :number, next_ms = :next_ms
 WHERE queue_id = :queue_id AND id = :id;
