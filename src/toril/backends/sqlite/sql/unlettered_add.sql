-- unlettered_add: a job was failed without a letter, of a queue whose failures leave letters.
--
-- PARAMS
--   number    int
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   one probe, and one row
INSERT INTO unlettered (queue_id, number)
SELECT queue_id, :number
  FROM dead_letters
 WHERE queue_id = :queue_id;
