"""What a database of the user's has to do, on each kind."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from toril.core.errors import InvalidOptionError
from toril.services.records.engines import PoolOptions
from toril.services.records.records import Records

METADATA = sa.MetaData()
COUNTERS = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", sa.String(50), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("extra", sa.JSON),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False, server_default="0"),
)
LINES = sa.Table(
    "lines",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("counter", sa.ForeignKey("counters.name"), nullable=False),
)


@pytest.fixture
async def ready(records: Records) -> Records:
    async with records.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    return records


async def rows(records: Records, table: sa.Table = COUNTERS) -> list[tuple[object, ...]]:
    async with records.reading() as connection:
        found = await connection.execute(sa.select(table).order_by(*table.primary_key))
        return [tuple(row) for row in found]


async def test_transaction_is_kept_at_its_end(ready: Records) -> None:
    async with ready.begin() as connection:
        await connection.execute(sa.insert(COUNTERS).values(name="a", value=1, extra={"ü": [1]}))

    assert await rows(ready) == [("a", 1, {"ü": [1]}, 0)]


async def test_transaction_that_fails_leaves_nothing(ready: Records) -> None:
    async def fail() -> None:
        async with ready.begin() as connection:
            await connection.execute(sa.insert(COUNTERS).values(name="a", value=1))
            raise RuntimeError("half-way")

    def fail_plain() -> None:
        with ready.begin_plain() as plain:
            plain.execute(sa.insert(COUNTERS).values(name="b", value=1))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        await fail()
    with pytest.raises(RuntimeError, match="half-way"):
        fail_plain()

    assert await rows(ready) == []


async def test_tables_too_are_made_in_the_transaction(records: Records) -> None:
    async def fail() -> None:
        async with records.begin() as connection:
            await connection.run_sync(METADATA.create_all)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        await fail()

    async with records.reading() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert names == []


async def test_reading_keeps_nothing(ready: Records) -> None:
    async with ready.reading() as connection:
        await connection.execute(sa.insert(COUNTERS).values(name="a", value=1))
    with ready.reading_plain() as plain:
        plain.execute(sa.insert(COUNTERS).values(name="b", value=1))

    assert await rows(ready) == []


async def test_plain_code_and_asyncio_see_the_same(ready: Records) -> None:
    with ready.begin_plain() as plain:
        plain.execute(sa.insert(COUNTERS).values(name="a", value=2**60, extra=None))

    assert await rows(ready) == [("a", 2**60, None, 0)]


async def test_foreign_keys_hold(ready: Records) -> None:
    with pytest.raises(IntegrityError):
        async with ready.begin() as connection:
            await connection.execute(sa.insert(LINES).values(id=1, counter="no such"))


async def test_upsert_adds_or_changes(ready: Records) -> None:
    for value, created in ((1, 100), (2, 200)):
        row = {"name": "a", "value": value, "created_at_ms": created}
        async with ready.begin() as connection:
            statement = ready.upsert(COUNTERS, row, keep=("created_at_ms",))
            found = await connection.execute(statement.returning(COUNTERS.c.value))
            assert found.scalar_one() == value
    many = [{"name": name, "value": 7, "created_at_ms": 9} for name in ("b", "a", "c")]
    async with ready.begin() as connection:
        await connection.execute(ready.upsert(COUNTERS, many, key=["name"]))

    assert await rows(ready) == [
        ("a", 7, None, 9),
        ("b", 7, None, 9),
        ("c", 7, None, 9),
    ]


async def test_upsert_of_a_key_alone_changes_nothing(ready: Records) -> None:
    async with ready.begin() as connection:
        await connection.execute(ready.upsert(COUNTERS, {"name": "a", "value": 1}))
        await connection.execute(ready.upsert(COUNTERS, {"name": "a", "value": 2}, keep=("value",)))

    assert await rows(ready) == [("a", 1, None, 0)]


@pytest.mark.parametrize("adding", ["upsert", "insert_missing"])
async def test_sql_of_one_row_is_made_once(ready: Records, adding: str) -> None:
    """It was made anew for each row, which took longer than all else but the commit."""
    made: dict[object, object] = {}
    for number in range(3):
        row = {"name": f"a{number}", "value": number, "extra": None if number else {"b": 1}}
        async with ready.begin() as connection:
            kept = await connection.execution_options(compiled_cache=made)
            await kept.execute(getattr(ready, adding)(COUNTERS, row))

    assert len(made) == 1
    assert [value for _, value, *_ in await rows(ready)] == [0, 1, 2]


async def test_missing_rows_are_added(ready: Records) -> None:
    async with ready.begin() as connection:
        await connection.execute(sa.insert(COUNTERS).values(name="a", value=1))
        many = [{"name": name, "value": 7} for name in ("a", "b", "c")]
        statement = ready.insert_missing(COUNTERS, many).returning(COUNTERS.c.name)
        added = (await connection.execute(statement)).scalars().all()
        assert sorted(added) == ["b", "c"]

    assert [(name, value) for name, value, *_ in await rows(ready)] == [
        ("a", 1),
        ("b", 7),
        ("c", 7),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": []}, "rows="),
        ({"rows": {"name": "a", "valeu": 1}}, "rows='valeu': expected columns of counters: name"),
        ({"rows": {"value": 1}}, "the key too: name"),
        ({"rows": {"name": "a"}, "key": ["nme"]}, "key='nme'"),
        ({"rows": {"name": "a"}, "keep": ["nme"]}, "keep='nme'"),
        ({"rows": [{"name": "a", "value": 1}, {"name": "b"}]}, "the same columns in each"),
    ],
)
async def test_upsert_that_makes_no_sense_is_refused(
    records: Records, given: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        records.upsert(COUNTERS, **given)  # type: ignore[arg-type]


async def test_transactions_that_read_before_they_write_wait_for_each_other(
    ready: Records,
) -> None:
    async with ready.begin() as connection:
        await connection.execute(sa.insert(COUNTERS).values(name="a", value=0))

    async def count() -> None:
        async with ready.begin() as connection:
            this = COUNTERS.c.name == "a"
            asked = sa.select(COUNTERS.c.value).where(this).with_for_update()
            value = (await connection.execute(asked)).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(sa.update(COUNTERS).where(this).values(value=value + 1))

    def count_plain() -> None:
        with ready.begin_plain() as connection:
            this = COUNTERS.c.name == "a"
            asked = sa.select(COUNTERS.c.value).where(this).with_for_update()
            value = connection.execute(asked).scalar_one()
            connection.execute(sa.update(COUNTERS).where(this).values(value=value + 1))

    await asyncio.gather(
        *(count() for _ in range(10)), *(asyncio.to_thread(count_plain) for _ in range(10))
    )

    assert await rows(ready) == [("a", 20, None, 0)]


async def test_pool_has_as_many_connections_as_it_may(url: str) -> None:
    records = Records(url, pool=PoolOptions(size=1, overflow=1, timeout_s=0.2))
    async with records.reading() as first, records.reading() as second:
        await first.execute(sa.select(1))
        await second.execute(sa.select(1))
        with pytest.raises(SQLAlchemyError, match="QueuePool limit"):
            async with records.reading():
                raise AssertionError("a third connection")
    async with records.reading() as again:
        await again.execute(sa.select(1))
    await records.close()


def test_event_loops_in_turn_have_connections_of_their_own(url: str) -> None:
    records = Records(url)

    async def use() -> int:
        async with records.reading() as connection:
            return int((await connection.execute(sa.select(sa.literal(7)))).scalar_one())

    async def use_and_close() -> int:
        found = await use()
        await records.close()
        return found

    assert [asyncio.run(use_and_close()) for _ in range(3)] == [7, 7, 7]
    records.close_plain()


async def test_it_opens_again_after_it_was_closed(records: Records) -> None:
    await records.check()
    await records.close()
    await records.close()
    await records.check()
    records.check_plain()


async def test_it_goes_to_another_process(ready: Records) -> None:
    copy = pickle.loads(pickle.dumps(ready))
    with copy.begin_plain() as connection:
        connection.execute(sa.insert(COUNTERS).values(name="a", value=1))
    copy.close_plain()

    assert len(await rows(ready)) == 1


def test_forked_process_neither_uses_nor_ends_its_parents_connections(url: str) -> None:
    """A child's copy of a transaction would undo it, or end its session, when it is dropped."""
    records = Records(url)
    with records.begin_plain() as connection:
        METADATA.create_all(connection)
    with records.begin_plain() as connection:
        connection.execute(sa.insert(COUNTERS).values(name="parent", value=1))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with records.reading_plain() as mine:
                    assert mine.execute(sa.select(COUNTERS)).all() == []
                del connection
                records.close_plain()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        connection.execute(sa.insert(COUNTERS).values(name="parent 2", value=1))
    with records.reading_plain() as connection:
        names = connection.execute(sa.select(COUNTERS.c.name)).scalars().all()
    assert sorted(names) == ["parent", "parent 2"]
    records.close_plain()


def test_forked_processes_write_at_once(url: str) -> None:
    records = Records(url)
    with records.begin_plain() as connection:
        METADATA.create_all(connection)
    children = []
    for name in ("a", "b", "c"):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for turn in range(20):
                    with records.begin_plain() as connection:
                        row = {"name": f"{name}{turn}", "value": turn}
                        connection.execute(sa.insert(COUNTERS).values(row))
                records.close_plain()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in children] == [0, 0, 0]
    with records.reading_plain() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(COUNTERS)).scalar() == 60
    records.close_plain()


def test_threads_share_one_pool(url: str) -> None:
    records = Records(url)
    engines: list[sa.Engine] = []
    threads = [
        threading.Thread(target=lambda: engines.append(records.plain_engine)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(engines) == 8
    assert len(set(map(id, engines))) == 1
    records.close_plain()


async def test_statement_gives_its_rows_and_is_kept(ready: Records) -> None:
    insert = "INSERT INTO counters (name, value) VALUES (:name, :value)"

    nothing = await ready.run(insert, name="it's", value=2)
    found = await ready.run("\n select name, value FROM counters WHERE name = :name", name="it's")
    changed = await ready.run("UPDATE counters SET value = 3 RETURNING value")

    assert nothing == []
    assert found == [{"name": "it's", "value": 2}]
    assert changed == [{"value": 3}]
    assert await rows(ready) == [("it's", 3, None, 0)]


async def test_first_value_of_the_first_row_is_given(ready: Records) -> None:
    text = "SELECT value, name FROM counters ORDER BY value"

    nothing = await ready.value(text)
    for number in (3, 2):
        await ready.run(
            "INSERT INTO counters (name, value) VALUES (:n, :v)", n="a" * number, v=number
        )

    assert (nothing, await ready.value(text)) == (None, 2)


async def test_statement_that_selects_writes_nothing(ready: Records) -> None:
    """It needs no turn among those who write."""
    async with ready.begin() as connection:
        await connection.execute(sa.insert(COUNTERS).values(name="a", value=1))
        async with asyncio.timeout(30):
            assert await ready.run("SELECT name FROM counters") == []


async def test_script_runs_as_it_stands_and_may_run_again(records: Records, tmp_path: Path) -> None:
    script = tmp_path / "schema.sql"
    script.write_text(
        "-- Rooms; not more.\nCREATE TABLE IF NOT EXISTS rooms (\n  name TEXT PRIMARY KEY,\n"
        "  hours TEXT DEFAULT '12:00;a:b 100%' -- a comment\n); -- the end\n"
        "INSERT INTO rooms (name) VALUES ('one;two') ON CONFLICT DO NOTHING", "utf-8",
    )  # fmt: skip

    await records.run_script(script)
    await asyncio.gather(*(records.run_script(script) for _ in range(4)))

    found = await records.run("SELECT * FROM rooms")
    assert found == [{"name": "one;two", "hours": "12:00;a:b 100%"}]


async def test_script_that_fails_leaves_nothing(records: Records, tmp_path: Path) -> None:
    script = tmp_path / "schema.sql"
    script.write_text("CREATE TABLE halves (id TEXT);\nINSERT INTO nowhere VALUES (1);\n", "utf-8")

    with pytest.raises(SQLAlchemyError):
        await records.run_script(script)

    async with records.reading() as connection:
        tables = await connection.run_sync(lambda plain: sa.inspect(plain).get_table_names())
    assert "halves" not in tables
