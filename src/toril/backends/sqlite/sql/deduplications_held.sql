-- deduplications_held: the ids that jobs hold.
--
-- PARAMS
--   numbers   text  JSON array
--   queue_id  int
-- RETURNS
--   job_number, id, ends_ms, aside, boot, ends_steady_ms
-- COST
--   one probe of deduplications_holder each
SELECT job_number, id, ends_ms, aside, boot, ends_steady_ms
  FROM deduplications
 WHERE job_number IN (SELECT value FROM json_each(:numbers)) AND queue_id = :queue_id;
