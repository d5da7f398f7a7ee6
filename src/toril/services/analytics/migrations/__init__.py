"""The versions of the tables of analytics, for Alembic."""
