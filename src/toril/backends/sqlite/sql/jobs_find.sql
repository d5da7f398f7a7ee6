-- jobs_find: some jobs of one queue by their ids.
--
-- PARAMS
--   ids       text  JSON array of [number or null, id]
--   queue_id  int
-- RETURNS
--   one row each (number, state), in the order given; nulls for those that are not there
-- COST
--   two probes of jobs each
SELECT coalesce(given.number, chosen.number), coalesce(given.state, chosen.state)
  FROM json_each(:ids) AS wanted
  LEFT JOIN jobs AS given
    ON given.number = wanted.value ->> 0 AND given.queue_id = :queue_id AND given.custom_id IS NULL
  LEFT JOIN jobs AS chosen
    ON chosen.queue_id = :queue_id AND chosen.custom_id = wanted.value ->> 1
 ORDER BY wanted.key;
