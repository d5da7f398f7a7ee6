-- jobs_add: add jobs.
--
-- PARAMS
--   jobs  text  JSON array of [number, queue_id, custom_id, name, data, opts, state,
--                    priority, position, timestamp_ms, delay_ms, due_ms]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
INSERT INTO jobs (number, queue_id, custom_id, name, data, opts, state,
                  priority, position, timestamp_ms, delay_ms, due_ms)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
       value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
  FROM jsonb_each(:jobs);
