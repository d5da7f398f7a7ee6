"""Who asks, and what they may see and do: keys, users, sessions, tenants, secrets."""
