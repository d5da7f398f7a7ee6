-- deduplication_get: who holds a de-duplication id.
--
-- PARAMS
--   queue_id  int
--   id        text
--   now_ms    int   epoch milliseconds
-- RETURNS
--   one row: job_number, job_id, ends_ms, aside, or none
-- COST
--   one probe of deduplications
SELECT job_number, job_id, ends_ms, aside
  FROM deduplications
 WHERE queue_id = :queue_id AND id = :id AND (ends_ms IS NULL OR ends_ms > :now_ms);
