"""The versions of the tables of totals, for Alembic."""
