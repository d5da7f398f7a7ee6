-- relayed_add: note that rows of an outbox have become jobs.
--
-- PARAMS
--   queue_id  int
--   now_ms    int
--   marks     text  JSON array
-- RETURNS
--   nothing
-- COST
--   two rows each
INSERT INTO relayed (queue_id, mark, at_ms)
SELECT :queue_id, value, :now_ms FROM json_each(:marks) WHERE true
    ON CONFLICT DO NOTHING;
