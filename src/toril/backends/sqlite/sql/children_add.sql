-- children_add: parents know of children; one that is known already gets this fate.
--
-- PARAMS
--   children  text  JSON array of [parent_number, queue, job_id, place, fate, value]
-- RETURNS
--   nothing
-- COST
--   O(children given)
INSERT INTO children (parent_number, queue, job_id, place, fate, value)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
  FROM jsonb_each(:children)
 WHERE true
    ON CONFLICT DO UPDATE SET fate = excluded.fate, value = excluded.value;
