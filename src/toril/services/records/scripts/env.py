"""Tells Alembic which connection and version table a family has. `migrating.py` has it run."""

from __future__ import annotations

from alembic import context


def run() -> None:
    """Run the migrations that `migrating.py` asked for."""
    given = context.config.attributes
    family = given["family"]
    options = {
        "target_metadata": family.metadata,
        "version_table": family.version_table,
        "render_as_batch": True,  # SQLite can change few tables in place
    }
    if given["connection"] is None:
        context.configure(dialect_name=given["dialect"], literal_binds=True, **options)
    else:
        context.configure(connection=given["connection"], **options)
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads it
    run()
