-- deduplication_set: say who holds a de-duplication id, until when, and what was set aside for it.
--
-- PARAMS
--   queue_id    int
--   id          text
--   job_number  int
--   job_id      text
--   ends_ms     int   epoch milliseconds; null: when the job finishes
--   aside       text  JSON: the job to add then; null: none
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO deduplications (queue_id, id, job_number, job_id, ends_ms, aside)
VALUES (:queue_id, :id, :job_number, :job_id, :ends_ms, :aside)
    ON CONFLICT (queue_id, id) DO UPDATE
   SET job_number = excluded.job_number, job_id = excluded.job_id, ends_ms = excluded.ends_ms,
       aside = excluded.aside;
