-- deduplications_trim: forget ids of a queue whose time is over.
--
-- PARAMS
--   queue_id  int
--   now_ms    int   epoch milliseconds
--   many      int   at most
-- RETURNS
--   nothing
-- COST
--   O(rows removed)
DELETE FROM deduplications
 WHERE (queue_id, id) IN (SELECT queue_id, id
                            FROM deduplications
                           WHERE queue_id = :queue_id AND ends_ms <= :now_ms
                           LIMIT :many);
