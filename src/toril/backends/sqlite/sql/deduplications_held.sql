-- deduplications_held: the ids that jobs hold.
--
-- PARAMS
--   numbers   text  JSON array
--   queue_id  int
-- RETURNS
--   job_number, id, ends_ms, aside
-- COST
--   one probe of deduplications_holder each
SELECT job_number, id, ends_ms, aside
  FROM deduplications
 WHERE job_number IN (SELECT value FROM json_each(:numbers)) AND queue_id = :queue_id;
