CREATE TABLE IF NOT EXISTS shop_users (
  id VARCHAR(128) PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, created_ms BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS shop_orders (
  id VARCHAR(128) PRIMARY KEY, user_id TEXT NOT NULL, product TEXT NOT NULL,
  amount_minor BIGINT NOT NULL, currency VARCHAR(16) NOT NULL, state VARCHAR(32) NOT NULL,
  created_ms BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS shop_orders_by_time ON shop_orders (created_ms);
CREATE TABLE IF NOT EXISTS shop_files (
  id VARCHAR(256) PRIMARY KEY, user_id TEXT NOT NULL, status VARCHAR(32) NOT NULL, outputs TEXT NOT NULL,
  created_ms BIGINT NOT NULL
);
