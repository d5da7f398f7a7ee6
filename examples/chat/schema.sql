-- The chat's own tables. Files and subscriptions have Toril's.
CREATE TABLE IF NOT EXISTS chat_users (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, token TEXT, avatar TEXT);
CREATE TABLE IF NOT EXISTS chat_rooms (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chat_members (
    room_id TEXT NOT NULL, user_id TEXT NOT NULL, PRIMARY KEY (room_id, user_id));
CREATE TABLE IF NOT EXISTS chat_messages (
    id TEXT PRIMARY KEY, room_id TEXT NOT NULL, sender_id TEXT NOT NULL, content TEXT NOT NULL,
    type TEXT NOT NULL, created_at TEXT NOT NULL);
