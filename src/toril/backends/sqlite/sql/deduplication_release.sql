-- deduplication_release: let the next job have a de-duplication id.
--
-- PARAMS
--   queue_id  int
--   id        text
-- RETURNS
--   nothing
-- COST
--   one row
DELETE FROM deduplications WHERE queue_id = :queue_id AND id = :id;
