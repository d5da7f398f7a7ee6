-- doctor_integrity: whether the file's pages and indices are whole.
--
-- RETURNS
--   one row 'ok', or a row for each problem, 10 at most
-- COST
--   O(file)
PRAGMA quick_check(10);
