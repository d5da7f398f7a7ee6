"""What Alembic runs for each family of tables."""
