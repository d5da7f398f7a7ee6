-- unlettered_drop: failed jobs of a queue have their letters, up to a place.
--
-- PARAMS
--   queue_id  int
--   until     int
-- RETURNS
--   nothing
-- COST
--   O(jobs up to there)
DELETE FROM unlettered WHERE queue_id = :queue_id AND place <= :until;
