-- claim_find: the next jobs of one queue: by priority, none at all first, then by place in line.
--
-- PARAMS
--   queue_id  int
--   limit     int
-- RETURNS
--   one row: JSON array of [number, id, name, data, opts, attempts_started, attempts_made,
--   timestamp_ms, deferred_failure, ready_ms], as they will be once claimed; how many have a priority
-- COST
--   one walk of jobs_line
SELECT json_group_array(json_array(
         number, coalesce(custom_id, CAST(number AS TEXT)), name, data, opts,
         attempts_started + 1, attempts_made, timestamp_ms, deferred_failure, ready_ms)),
       coalesce(sum(priority > 0), 0)
  FROM (SELECT number, custom_id, name, data, opts, attempts_started, attempts_made,
               timestamp_ms, deferred_failure, ready_ms, priority
          FROM jobs
         WHERE queue_id = :queue_id AND state IN ('wait', 'prioritized')
         ORDER BY priority, position
         LIMIT :limit);
