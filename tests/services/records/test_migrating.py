"""Tables come and go from version to version, on each kind of database."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from toril.core.errors import InvalidOptionError
from toril.services.media.migrations import v0001_media
from toril.services.records.errors import RecordsOutdatedError
from toril.services.records.families import TableFamily
from toril.services.records.known import KNOWN, family_of
from toril.services.records.migrating import migrate, script, version_of
from toril.services.records.records import Records

FIRST = """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("note", sa.String(20)),
    )
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade():
    with op.batch_alter_table("orders") as table:
        table.add_column(sa.Column("total", sa.BigInteger, nullable=False, server_default="0"))
        table.alter_column("note", existing_type=sa.String(20), type_=sa.Text)
    op.create_index("orders_total", "orders", ["total"])
    FAIL
"""
ORDERS = sa.Table(
    "orders",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("note", sa.String(20)),
)


class Shop:
    """A family of an app that grows."""

    def __init__(self, folder: Path, package: str) -> None:
        self._folder = folder
        self._package = package

    def family(self, versions: int) -> TableFamily:
        columns: list[sa.Column[Any]] = [sa.Column("id", sa.Integer, primary_key=True)]
        if versions == 1:
            columns.append(sa.Column("note", sa.String(20)))
        else:
            columns.append(sa.Column("note", sa.Text))
            columns.append(sa.Column("total", sa.BigInteger, nullable=False, server_default="0"))
        table = sa.Table("orders", sa.MetaData(), *columns)
        if versions == 2:
            sa.Index("orders_total", table.c.total)
        return TableFamily("shop", table.metadata, self._package)

    def grow(self, *, fails: bool = False) -> TableFamily:
        text = SECOND.replace("FAIL", 'raise RuntimeError("half-way")' if fails else "")
        (self._folder / "v0002_total.py").write_text(text)
        return self.family(2)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    # A % and a space in the path: Alembic's settings know both as something else.
    package = f"shop_tables_{tmp_path.name}"
    folder = tmp_path / "50% off" / package
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "v0001_orders.py").write_text(FIRST)
    monkeypatch.syspath_prepend(folder.parent)
    yield Shop(folder, package)
    sys.modules.pop(package, None)


Opener = Callable[..., Records]


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Opener]:
    """Open the same database, each time anew; all are closed at the end."""
    made: list[Records] = []

    def opening(**options: Any) -> Records:
        made.append(Records(url, **options))
        return made[-1]

    yield opening
    for one in made:
        await one.close()


def columns_of(records: Records) -> dict[str, str]:
    with records.reading_plain() as connection:
        found = sa.inspect(connection).get_columns("orders")
    return {one["name"]: str(one["type"]) for one in found}


async def test_new_tables_are_made_as_they_are(
    records: Records, shop: Shop, opened: Opener
) -> None:
    shop.grow()
    family = shop.family(2)

    await records.prepare(family)
    await records.prepare(family)
    records.prepare_plain(family)

    assert list(columns_of(records)) == ["id", "note", "total"]
    with records.reading_plain() as connection:
        assert version_of(connection, family) == "0002"


async def test_older_tables_are_migrated_with_their_rows(
    records: Records, shop: Shop, opened: Opener
) -> None:
    await records.prepare(shop.family(1))
    async with records.begin() as connection:
        await connection.execute(sa.insert(ORDERS).values(id=1, note="kept"))
    later = opened()
    await later.prepare(shop.grow())

    assert columns_of(later) == {"id": "INTEGER", "note": "TEXT", "total": "BIGINT"}
    async with later.reading() as connection:
        rows = (await connection.execute(sa.text("SELECT id, note, total FROM orders"))).all()
    assert [tuple(row) for row in rows] == [(1, "kept", 0)]


async def test_migration_that_fails_leaves_the_version_before(
    records: Records, shop: Shop, opened: Opener
) -> None:
    records.prepare_plain(shop.family(1))
    later = opened()

    with pytest.raises(RuntimeError, match="half-way"):
        await later.prepare(shop.grow(fails=True))

    assert list(columns_of(later)) == ["id", "note"]
    with later.reading_plain() as connection:
        assert version_of(connection, shop.family(1)) == "0001"
    await later.prepare(shop.grow())
    assert list(columns_of(later)) == ["id", "note", "total"]


async def test_tables_of_a_newer_version_are_left_alone(
    records: Records, shop: Shop, opened: Opener
) -> None:
    """During an update, processes of both versions are at work."""
    await records.prepare(shop.grow())
    (shop._folder / "v0002_total.py").unlink()

    older = opened()
    await older.prepare(shop.family(1))

    assert list(columns_of(older)) == ["id", "note", "total"]


async def test_tables_are_only_checked_where_that_is_asked(
    records: Records, shop: Shop, opened: Opener
) -> None:
    strict = opened(migrate="check")

    with pytest.raises(RecordsOutdatedError, match="run toril records migrate shop"):
        await strict.prepare(shop.family(1))
    with pytest.raises(RecordsOutdatedError, match="version 0001"):
        strict.prepare_plain(shop.family(1))
    records.prepare_plain(shop.family(1))
    await strict.prepare(shop.family(1))
    with pytest.raises(RecordsOutdatedError, match="version 0002"):
        opened(migrate="check").prepare_plain(shop.grow())


async def test_families_know_nothing_of_each_other(
    records: Records, shop: Shop, opened: Opener
) -> None:
    media = family_of("media")

    await records.prepare(shop.family(1), media)

    with records.reading_plain() as connection:
        names = set(sa.inspect(connection).get_table_names())
        assert version_of(connection, media) == media.head
    assert names == {"orders", "toril_shop_version", "toril_media_version", *media.metadata.tables}


def prepare_in_child(url: str) -> None:
    records = Records(url)
    records.prepare_plain(family_of("media"))
    records.close_plain()


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("legacy", [False, True])
def test_processes_prepare_at_once(url: str, legacy: bool) -> None:
    if legacy:
        records = Records(url)
        with records.begin_plain() as connection:
            # What there was before the tables had versions.
            with Operations.context(MigrationContext.configure(connection)):
                v0001_media.upgrade()
        records.close_plain()

    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(prepare_in_child, [url] * 3, chunksize=1)

    records = Records(url)
    with records.reading_plain() as connection:
        assert version_of(connection, family_of("media")) == family_of("media").head
    records.close_plain()


@pytest.mark.parametrize("name", sorted(KNOWN))
@pytest.mark.parametrize("way", ["migrated", "made"])
def test_migrations_make_the_tables_that_the_code_has(url: str, name: str, way: str) -> None:
    """New tables are made from the code and older ones by migrations: they have to be the same."""
    family = family_of(name)
    records = Records(url)
    with records.begin_plain() as connection:
        if way == "migrated":
            # A table of the family is there without a version: so nothing is made from the code.
            version = f"CREATE TABLE {family.version_table} (version_num VARCHAR(32) NOT NULL)"
            connection.execute(sa.text(version))
        assert migrate(connection, family)
        assert not migrate(connection, family)
    with records.reading_plain() as connection:
        options = {"compare_type": True, "version_table": family.version_table}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, family.metadata) == []
        assert version_of(connection, family) == family.head
    records.close_plain()


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_versions_follow_each_other_and_are_named_by_their_file(name: str) -> None:
    family = family_of(name)
    directory = ScriptDirectory(str(family.folder), version_locations=[str(family.folder)])
    found = list(reversed(list(directory.walk_revisions())))

    assert family.name == name
    assert [one.revision for one in found] == [f"{at:04d}" for at in range(1, len(found) + 1)]
    assert directory.get_heads() == [family.head]
    for one in found:
        assert Path(one.path).name.startswith(f"v{one.revision}_")
        assert one.doc


def test_media_of_before_there_were_versions_are_kept(tmp_path: Path) -> None:
    """The table as the versions up to 0.9 made it, with a row."""
    path = tmp_path / "media.db"
    old = sqlite3.connect(path)
    old.execute(
        "CREATE TABLE toril_media (id VARCHAR(128) NOT NULL, entity_type VARCHAR(64) NOT NULL,"
        " original_filename TEXT NOT NULL, user_id TEXT, metadata JSON NOT NULL, original_bytes"
        " BIGINT NOT NULL, source_path TEXT NOT NULL, variants JSON NOT NULL, status VARCHAR(16)"
        " NOT NULL, created_at_ms BIGINT NOT NULL, updated_at_ms BIGINT NOT NULL, deleted_at_ms"
        " BIGINT, PRIMARY KEY (id))"
    )
    row = ("m-1", "default", "a.jpg", None, "{}", 5, "a.jpg", "[]", "ready", 1000, 2000, None)
    old.execute(f"INSERT INTO toril_media VALUES ({', '.join('?' * 12)})", row)
    old.commit()
    old.close()
    from toril.services.media.sql_records import SqlMediaRecords

    media = SqlMediaRecords(f"sqlite:///{path}")
    found = media.find("m-1")

    assert found is not None
    assert found.created_at is not None
    assert (found.original_filename, found.created_at.timestamp()) == ("a.jpg", 1)
    assert media.save(found).created_at == found.created_at
    media.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_sql_can_be_read_and_run_by_hand(dialect: str, shop: Shop, tmp_path: Path) -> None:
    text = script(shop.family(1), dialect)

    assert "CREATE TABLE orders" in text
    assert "INSERT INTO toril_shop_version (version_num) VALUES ('0001')" in text
    if dialect == "sqlite":
        database = sqlite3.connect(tmp_path / "by-hand.db")
        database.executescript(text)
        database.close()
        records = Records(f"sqlite:///{tmp_path}/by-hand.db", migrate="check")
        records.prepare_plain(shop.family(1))
        records.close_plain()


async def test_making_new_tables_does_not_load_alembic(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from toril.services.media.sql_records import SqlMediaRecords;"
        f"SqlMediaRecords('sqlite:///{tmp_path}/a.db'); print('alembic' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.stdout.strip() == "False", ran.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("meida", "unknown family of tables 'meida': did you mean 'media'"),
        ("no.such.module:X", "cannot be imported: No module named"),
        ("toril.core.errors:NoSuch", "cannot be imported"),
        ("toril.core.errors:TorilError", "expected a TableFamily"),
    ],
)
def test_family_that_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        family_of(name)


def test_family_needs_a_name_and_versions() -> None:
    with pytest.raises(InvalidOptionError, match="family='My Shop'"):
        TableFamily("My Shop", sa.MetaData(), "shop")
    with pytest.raises(InvalidOptionError, match=r"v0001_begin\.py"):
        _ = TableFamily("shop", sa.MetaData(), "toril.core").head
    assert re.fullmatch(r"\d{4}", family_of("media").head)
    assert importlib.import_module(family_of("media").package).__doc__


def test_migrating_leaves_the_logging_of_the_app_alone(tmp_path: Path, shop: Shop) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    records = Records(f"sqlite:///{tmp_path}/a.db")
    records.prepare_plain(shop.family(1))
    records = Records(f"sqlite:///{tmp_path}/a.db")
    records.prepare_plain(shop.grow())

    assert (logging.getLogger().handlers[:], logging.getLogger().level) == before
    records.close_plain()
