-- access_key_get: the key of a digest.
--
-- PARAMS
--   digest  text
-- RETURNS
--   one row (as access_keys), or none
-- COST
--   one probe of the digests
SELECT name, digest, role, queues, payloads, created_ms, expires_ms
  FROM access_keys
 WHERE digest = :digest;
