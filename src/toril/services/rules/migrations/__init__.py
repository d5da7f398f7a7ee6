"""The versions of the tables of rules, for Alembic."""
