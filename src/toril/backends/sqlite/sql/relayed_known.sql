-- relayed_known: which of some rows of an outbox have become jobs.
--
-- PARAMS
--   queue_id  int
--   marks     text  JSON array
-- RETURNS
--   one row: JSON array of those that have
-- COST
--   one probe each
SELECT json_group_array(mark)
  FROM relayed
 WHERE queue_id = :queue_id
   AND mark IN (SELECT value FROM json_each(:marks));
