-- deduplications_drop: removed jobs let go of their ids, and of what was set aside for them.
--
-- PARAMS
--   numbers   text  JSON array
--   queue_id  int
-- RETURNS
--   nothing
-- COST
--   one probe of deduplications_holder each
DELETE FROM deduplications
 WHERE job_number IN (SELECT value FROM json_each(:numbers)) AND queue_id = :queue_id;
