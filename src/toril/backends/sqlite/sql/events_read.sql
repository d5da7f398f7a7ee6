-- events_read: events of one queue after a position, oldest first.
--
-- PARAMS
--   queue  text
--   after  int
--   limit  int   rows, of one event or more each
-- RETURNS
--   one row each (last, at_ms, body)
-- COST
--   one walk of events_position
SELECT events.last, events.at_ms, events.body
  FROM queues
 CROSS JOIN events ON events.queue_id = queues.id
 WHERE queues.name = :queue AND events.last > :after
 ORDER BY events.last
 LIMIT :limit;
