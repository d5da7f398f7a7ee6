-- dead_letter_get: where failures of a queue leave letters.
--
-- PARAMS
--   queue  text
-- RETURNS
--   one row, or none
-- COST
--   two probes
SELECT target, keep_ms
  FROM dead_letters
  JOIN queues ON queues.id = dead_letters.queue_id
 WHERE queues.name = :queue;
