-- dead_letter_forget: failures of a queue leave no letters any more.
--
-- PARAMS
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM dead_letters WHERE queue_id = :queue_id;
