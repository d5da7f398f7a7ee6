-- events_read: events of one queue after a position, oldest first.
--
-- PARAMS
--   after  int
--   queue  text
--   limit  int   rows, of one event or more each
-- RETURNS
--   one row each (last, at_ms, body, the position after which to read)
-- COST
--   one walk of events_position
SELECT events.last, events.at_ms, events.body, iif(:after > event_last, 0, :after)
  FROM queues
 CROSS JOIN events ON events.queue_id = queues.id
 WHERE queues.name = :queue
   -- A position that the queue has not reached is from a life before it was obliterated.
   AND events.last > iif(:after > event_last, 0, :after)
 ORDER BY events.last
 LIMIT :limit;
