"""Keeps rows in a database of the user's: SQLite or PostgreSQL, by SQLAlchemy."""
