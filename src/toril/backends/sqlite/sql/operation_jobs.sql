-- operation_jobs: some jobs of one queue that are in one state.
--
-- PARAMS
--   ids       text  JSON array of [number or null, id]
--   queue_id  int
--   state     text
--   until_ms  int   ended then or before, or have not ended
-- RETURNS
--   one row each (number, id, priority), in the order given; those that are not so are left out
-- COST
--   two probes of jobs each
SELECT found.number, wanted.value ->> 1, found.priority
  FROM json_each(:ids) AS wanted
  LEFT JOIN jobs AS given
    ON given.number = wanted.value ->> 0 AND given.queue_id = :queue_id AND given.custom_id IS NULL
  LEFT JOIN jobs AS chosen
    ON chosen.queue_id = :queue_id AND chosen.custom_id = wanted.value ->> 1
  JOIN jobs AS found ON found.number = coalesce(given.number, chosen.number)
 WHERE found.state = :state AND coalesce(found.finished_ms, 0) <= :until_ms
 ORDER BY wanted.key;
