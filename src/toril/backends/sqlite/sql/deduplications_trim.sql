-- deduplications_trim: forget ids of a queue whose time is over by both clocks.
--
-- A calendar that is ahead may show the end of a time too early, and be put right: the id is then
-- held again. So a time is forgotten only if the steady clock has passed its end as well, or tells
-- nothing, because the host has started anew. A row with a job put aside waits for its holder.
--
-- PARAMS
--   queue_id   int
--   now_ms     int   epoch milliseconds
--   many       int   at most
--   boot       int   start of the host
--   steady_ms  int   steady clock
-- RETURNS
--   nothing
-- COST
--   O(many): it looks at no more than the first ones by the calendar
DELETE FROM deduplications
 WHERE (queue_id, id) IN (SELECT queue_id, id
                            FROM (SELECT queue_id, id, boot, ends_steady_ms
                                    FROM deduplications
                                   WHERE queue_id = :queue_id AND ends_ms <= :now_ms
                                     AND aside IS NULL
                                   ORDER BY ends_ms
                                   LIMIT :many)
                           WHERE boot IS NULL OR boot <> :boot OR ends_steady_ms <= :steady_ms);
