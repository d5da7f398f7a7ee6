-- deduplication_set: say who holds a de-duplication id, until when, and what was set aside for it.
--
-- PARAMS
--   queue_id        int
--   id              text
--   job_number      int
--   job_id          text
--   ends_ms         int   epoch milliseconds; null: when the job finishes
--   aside           text  JSON: the job to add then; null: none
--   boot            int   start of the host; null with ends_ms
--   ends_steady_ms  int   the end by the steady clock; null with ends_ms
-- RETURNS
--   nothing
-- COST
--   one row
INSERT INTO deduplications (queue_id, id, job_number, job_id, ends_ms, aside,
                            boot, ends_steady_ms)
VALUES (:queue_id, :id, :job_number, :job_id, :ends_ms, :aside, :boot, :ends_steady_ms)
    ON CONFLICT (queue_id, id) DO UPDATE
   SET job_number = excluded.job_number, job_id = excluded.job_id, ends_ms = excluded.ends_ms,
       aside = excluded.aside, boot = excluded.boot, ends_steady_ms = excluded.ends_steady_ms;
