-- held: which of these jobs are held, and under which token.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   one row: JSON array of [number, token, priority, cancel_reason]
-- COST
--   O(jobs given)
SELECT json_group_array(json_array(number, token, priority, cancel_reason))
  FROM jobs
 WHERE number IN (SELECT value FROM json_each(:numbers)) AND state = 'active';
