-- scan_sift: which of some jobs hold texts, in lower case.
--
-- JSON may write any character as an escape: a payload with one of ASCII is let through.
--
-- PARAMS
--   numbers  text  JSON array
--   name     text  has to be in the name; null: any will do. The same for the others
--   data     text  in the payload
--   error    text  in the reason of a failure
--   text     text  in the id, the name, the payload or the reason
-- RETURNS
--   one row each (number, id), in the order given
-- COST
--   O(bytes of the jobs given)
SELECT jobs.number, coalesce(custom_id, CAST(number AS TEXT)) AS id
  FROM json_each(:numbers) AS wanted
 CROSS JOIN jobs ON jobs.number = wanted.value
 WHERE (:name IS NULL OR instr(lower(name), :name))
   AND (:data IS NULL OR instr(lower(data), :data) OR instr(data, '\u00'))
   AND (:error IS NULL OR instr(lower(failed_reason), :error))
   AND (:text IS NULL OR instr(lower(data), :text) OR instr(data, '\u00')
        OR instr(lower(name), :text) OR instr(lower(coalesce(failed_reason, '')), :text)
        OR instr(lower(coalesce(custom_id, CAST(number AS TEXT))), :text))
 ORDER BY wanted.key;
