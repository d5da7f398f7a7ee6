-- numbers_taken: which of these job numbers are in use, by any queue.
--
-- PARAMS
--   numbers  text  JSON array
-- RETURNS
--   one row each (number) of those that are
-- COST
--   one probe of jobs each
SELECT number FROM jobs WHERE number IN (SELECT value FROM json_each(:numbers));
