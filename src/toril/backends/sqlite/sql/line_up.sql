-- line_up: put jobs in line at given places.
--
-- PARAMS
--   places  text  JSON array of [number, position]
-- RETURNS
--   nothing
-- COST
--   O(jobs given)
UPDATE jobs
   SET state = CASE WHEN priority > 0 THEN 'prioritized' ELSE 'wait' END,
       position = places.value ->> 1,
       ready_ms = CASE WHEN state = 'delayed' THEN due_ms ELSE -1 END,
       due_ms = NULL, delay_ms = 0, boot = NULL, due_steady_ms = NULL
  FROM jsonb_each(:places) AS places
 WHERE jobs.number = places.value ->> 0;
