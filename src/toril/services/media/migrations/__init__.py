"""The versions of the tables of media, for Alembic."""
