-- deduplication_get: who holds a de-duplication id.
--
-- PARAMS
--   queue_id   int
--   id         text
--   now_ms     int   epoch milliseconds
--   boot       int   start of the host
--   steady_ms  int   steady clock
-- RETURNS
--   one row: job_number, job_id, ends_ms, aside, boot, ends_steady_ms, or none
-- COST
--   one probe of deduplications
SELECT job_number, job_id, ends_ms, aside, boot, ends_steady_ms
  FROM deduplications
 WHERE queue_id = :queue_id AND id = :id
   AND (ends_ms IS NULL OR ends_ms > :now_ms)
   AND (boot IS NULL OR boot <> :boot OR ends_steady_ms > :steady_ms);
