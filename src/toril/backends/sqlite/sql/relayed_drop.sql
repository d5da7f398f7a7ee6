-- relayed_drop: forget rows of an outbox that are gone there, and those of long ago.
--
-- PARAMS
--   queue_id   int
--   marks      text  JSON array
--   before_ms  int   those that were noted before
-- RETURNS
--   nothing
-- COST
--   one probe each
DELETE FROM relayed
 WHERE queue_id = :queue_id
   AND (mark IN (SELECT value FROM json_each(:marks)) OR at_ms < :before_ms);
