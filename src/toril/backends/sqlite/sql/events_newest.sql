-- events_newest: the newest events of one queue, newest first.
--
-- PARAMS
--   queue  text
--   limit  int   rows, of one event or more each
-- RETURNS
--   one row each (last, at_ms, body, the position after which to read)
-- COST
--   one walk of events_position, from its end
SELECT events.last, events.at_ms, events.body, 0
  FROM queues
 CROSS JOIN events ON events.queue_id = queues.id
 WHERE queues.name = :queue
 ORDER BY events.last DESC
 LIMIT :limit;
