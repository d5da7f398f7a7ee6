-- scan_sizes: how large the payloads of some jobs are.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   one row each (number, bytes), in the order given
-- COST
--   O(jobs given); payloads are not read
SELECT jobs.number, octet_length(data)
  FROM json_each(:numbers) AS wanted
 CROSS JOIN jobs ON jobs.number = wanted.value
 ORDER BY wanted.key;
