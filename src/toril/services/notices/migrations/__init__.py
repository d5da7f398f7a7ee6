"""The versions of the table of notices, for Alembic."""
