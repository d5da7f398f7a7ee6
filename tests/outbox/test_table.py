"""The table: by Alembic's own commands, online and as SQL, and by its autogenerate."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, inspect
from tests.outbox.conftest import Database

from toril.outbox.table import drop_outbox, outbox_table

ENV = """
from alembic import context
from sqlalchemy import MetaData, create_engine
from sqlalchemy.pool import NullPool
from toril.outbox.table import outbox_table

target_metadata = MetaData()
outbox_table(target_metadata)
url = context.config.get_main_option("sqlalchemy.url")
if context.is_offline_mode():
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
"""
REVISION = '''
"""Make the outbox of jobs."""

from alembic import op

from toril.outbox.table import create_outbox, drop_outbox

revision = "1a2b3c"
down_revision = None


def upgrade() -> None:
    create_outbox(op)


def downgrade() -> None:
    drop_outbox(op)
'''


@pytest.fixture
def alembic(database: Database, tmp_path: Path) -> Config:
    """A project with one script, on a database without an outbox."""
    with database.plain().begin() as connection:
        drop_outbox(connection)
        connection.exec_driver_sql("DROP TABLE orders")
    folder = tmp_path / "alembic"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "1a2b3c_outbox.py").write_text(REVISION)
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", database.plain_url)
    return config


def columns(database: Database) -> set[str]:
    """Return the columns of the table; none if there is none."""
    with database.plain().connect() as connection:
        found = inspect(connection)
        if not found.has_table("toril_outbox"):
            return set()
        return {str(column["name"]) for column in found.get_columns("toril_outbox")}


@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
def test_alembic_makes_and_drops_it_and_finds_nothing_to_change(
    alembic: Config, database: Database
) -> None:
    command.upgrade(alembic, "head")
    assert columns(database) == set(outbox_table(MetaData()).columns.keys())
    command.check(alembic)

    command.downgrade(alembic, "base")

    assert columns(database) == set()


@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
def test_alembic_writes_it_as_sql_for_somebody_else_to_run(
    alembic: Config, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    command.upgrade(alembic, "head", sql=True)

    written = capsys.readouterr().out
    assert "CREATE TABLE toril_outbox" in written
    assert "WHERE refused_ms IS NULL" in written
    assert columns(database) == set()
