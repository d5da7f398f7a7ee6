-- access_sessions_remove: end the sessions of somebody.
--
-- PARAMS
--   kind  text
--   name  text
--   keep  text   the digest of one that goes on; null: none does
-- RETURNS
--   nothing
-- COST
--   one probe of access_sessions_whose, and a row each
DELETE FROM access_sessions
 WHERE kind = :kind AND name = :name AND (:keep IS NULL OR digest <> :keep);
