-- access: keys, users and sessions of the servers in front of a store, and the audit log.

CREATE TABLE access_keys (
  name        TEXT    PRIMARY KEY,
  digest      TEXT    NOT NULL UNIQUE,  -- SHA-256 of the key
  role        TEXT    NOT NULL,
  queues      TEXT,                     -- JSON array of patterns; null: all queues
  payloads    INTEGER NOT NULL,
  created_ms  INTEGER NOT NULL,
  expires_ms  INTEGER                   -- null: never
) STRICT;

CREATE TABLE access_users (
  name        TEXT    PRIMARY KEY,
  password    TEXT    NOT NULL,         -- a hash with its parameters and its salt
  stamp       TEXT    NOT NULL,         -- new with each password
  role        TEXT    NOT NULL,
  queues      TEXT,
  payloads    INTEGER NOT NULL,
  created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE access_sessions (
  digest      TEXT    PRIMARY KEY,      -- SHA-256 of what the cookie says
  kind        TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  stamp       TEXT    NOT NULL,
  expires_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX access_sessions_expiry ON access_sessions (expires_ms);

CREATE TABLE audit (
  position  INTEGER PRIMARY KEY AUTOINCREMENT,  -- no position comes twice
  at_ms     INTEGER NOT NULL,
  body      TEXT    NOT NULL                    -- JSON
) STRICT;
