"""The relay: exactly one job each, in order, whatever becomes of relays, rows and the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from tests.outbox.conftest import Database
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import App, KeepPolicy
from toril.outbox.batches import add_rows
from toril.outbox.engines import open_database
from toril.outbox.relay import KEEP_MARKS_S, MANY, Relay
from toril.outbox.rows import MAX_JOB_BYTES, Row
from toril.outbox.statements import statements


@pytest.fixture
async def app(store_url: str, database: Database) -> AsyncIterator[App]:
    """An app with an outbox, and a task of which nothing is kept."""
    made = App(store_url, outbox=database.url)
    made.task(name="ship", keep_completed=KeepPolicy(count=0))(_ship)
    async with made:
        yield made


RAN: list[int] = []


async def _ship(order: int) -> None:
    RAN.append(order)


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    """Begin with nothing."""
    RAN.clear()


@asynccontextmanager
async def relaying(app: App) -> AsyncIterator[None]:
    """Relay beside the block."""
    task = asyncio.create_task(app.outbox.relay())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def commit(app: App, engine: AsyncEngine, *orders: int, queue: str = "default") -> None:
    """Commit jobs for orders, in one transaction."""
    async with AsyncSession(engine) as session, session.begin():
        for order in orders:
            if queue == "default":
                await app.find_task("ship").enqueue_in(session, order=order)
            else:
                await app.queue(queue).add_in(session, "ship", {"order": order})


async def orders(app: App, queue: str = "default") -> list[int]:
    """Return the orders that wait on a queue, in line."""
    found: list[int] = []
    after = None
    while True:
        page = await app.queue(queue).jobs("wait", limit=1000, after=after)
        found += [job.data["order"] for job in page.jobs]
        after = page.next
        if after is None:
            return found


async def rows_of(database: Database, queue: str = "default") -> list[Row]:
    """Return rows as a relay reads them."""
    place = open_database(database.url)
    found = await place.run(statements(place.dialect).rows, queue=queue, many=MANY)
    await place.rollback()
    await place.close()
    return [Row(*row) for row in found]


async def test_relay_that_died_before_it_removed_the_rows_doubles_nothing(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    """The jobs have run, and nothing of them is left in the store but their marks."""
    await commit(app, engine, 1, 2, 3)
    rows = await rows_of(database)
    await add_rows(app.backend().relaying, "default", rows, forget=[])
    await app.worker(concurrency=1, queues=["default"]).run(until_idle=True)

    await app.outbox.drain()
    await app.worker(concurrency=1, queues=["default"]).run(until_idle=True)

    assert sorted(RAN) == [1, 2, 3]
    assert database.waiting == 0


async def test_marks_are_gone_once_a_relay_has_ended_well(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    """Else a store would keep them for a month."""
    await commit(app, engine, 1)
    (row,) = await rows_of(database)
    await app.outbox.drain()
    await app.backend().jobs.remove("default", f"outbox-{row.row_id}")

    batch = await add_rows(app.backend().relaying, "default", [row], forget=[])

    assert batch.added == [row]
    assert await orders(app) == [1]


async def test_marks_are_kept_for_a_while_while_a_relay_goes_on(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    """Another relay whose transaction was lost may still be sending the same rows."""
    await commit(app, engine, 1)
    (row,) = await rows_of(database)
    relay = Relay(open_database(database.url), app.backend)
    running = asyncio.create_task(relay.run())
    await wait_until(lambda: database.waiting == 0)
    await wait_until(lambda: relay._gone)
    await app.backend().jobs.remove("default", f"outbox-{row.row_id}")

    await add_rows(app.backend().relaying, "default", [row], forget=[])

    assert await orders(app) == []
    assert KEEP_MARKS_S >= 60
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    batch = await add_rows(app.backend().relaying, "default", [row], forget=[])
    assert batch.added == [row]
    assert await orders(app) == [1]


async def test_more_rows_than_one_pass_takes_keep_their_order(
    app: App, engine: AsyncEngine
) -> None:
    many = list(range(2 * MANY + 7))
    await commit(app, engine, *many[:MANY])
    await commit(app, engine, *many[MANY:])

    assert await app.outbox.drain() == len(many)

    assert await orders(app) == many


async def test_several_relays_at_the_same_time_keep_the_order_and_double_nothing(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    queues = [f"q{number}" for number in range(5)]
    async with relaying(app), relaying(app), relaying(app):
        for order in range(60):
            await commit(app, engine, order, queue=queues[order % 5])
        await wait_until(lambda: database.waiting == 0, deadline_s=30)

    for number, queue in enumerate(queues):
        assert await orders(app, queue) == list(range(number, 60, 5))


async def test_row_that_commits_late_is_not_passed_over(
    app: App, engine: AsyncEngine, database: Database, driver: str
) -> None:
    """Its position is lower than that of a row that was relayed before it committed."""
    if "sqlite" in driver:  # one writer at a time: no row can commit late
        await commit(app, engine, 1, 2)
        await app.outbox.drain()
        assert await orders(app) == [1, 2]
        return
    async with relaying(app):
        async with AsyncSession(engine) as slow, slow.begin():
            await app.find_task("ship").enqueue_in(slow, order=1)
            await commit(app, engine, 2)
            await wait_until(lambda: database.waiting == 0)
            assert await orders(app) == [2]
        await wait_until(lambda: _has(app, 2))

    assert await orders(app) == [2, 1]


@pytest.mark.parametrize("turns", range(5))
async def test_relay_that_is_told_of_a_commit_and_cancelled_at_once_ends(
    app: App, turns: int
) -> None:
    """It lost the cancellation, and whoever waited for its end waited for ever."""
    task = asyncio.create_task(app.outbox.relay())
    (relay,) = await _made(app)
    await wait_until(lambda: relay._woken._waiters, what="the relay to sleep")
    relay.wake()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()

    done, _ = await asyncio.wait([task], timeout=60)

    assert done == {task}
    assert task.cancelled()


async def _made(app: App) -> list[Relay]:
    await wait_until(lambda: app.outbox._relays, what="the relay to begin")
    return list(app.outbox._relays)


async def _has(app: App, many: int) -> bool:
    return len(await orders(app)) == many


BAD = [
    ("data", "no JSON", "not JSON"),
    ("data", "[" * 3000, "not JSON"),
    ("options", "{", "not as an outbox writes them"),
    ("options", '{"priority":-3}', "priority"),
    ("options", '{"opts":"[]"}', "options"),
    ("options", '{"job_id":"0"}', "reserved"),
    ("queue", "a:b", "queue"),
    ("name", "", "name"),
    ("row_id", "' OR 1", "row_id"),
]


@pytest.mark.parametrize(("column", "value", "why"), BAD)
@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
async def test_row_that_no_store_takes_is_set_aside_with_the_reason(
    app: App, engine: AsyncEngine, database: Database, column: str, value: str, why: str
) -> None:
    await commit(app, engine, 1, 2, 3)
    database.ask(
        f"UPDATE toril_outbox SET {column} = :value WHERE position ="
        " (SELECT min(position) + 1 FROM toril_outbox)",
        value=value,
    )

    await app.outbox.drain()

    assert await orders(app) == [1, 3]
    (refused,) = await app.outbox.refused()
    assert why in refused.reason
    status = {one.queue: one for one in await app.outbox.status()}
    assert (status[refused.queue].waiting, status[refused.queue].refused) == (0, 1)
    (finding,) = [one for one in (await app.check()).findings if one.subject == "outbox"]
    assert finding.grade == "warning"
    assert "refuses 1 rows" in finding.text


@pytest.mark.parametrize("driver", ["sqlite"])
async def test_payload_that_is_too_large_for_any_relay_is_set_aside(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    await commit(app, engine, 1, 2)
    database.ask(
        "UPDATE toril_outbox SET data = :data WHERE position ="
        " (SELECT min(position) FROM toril_outbox)",
        data=json.dumps("x" * MAX_JOB_BYTES),
    )

    await app.outbox.drain()

    assert await orders(app) == [2]
    assert f"at most {MAX_JOB_BYTES}" in (await app.outbox.refused())[0].reason


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg"])
async def test_refused_rows_are_retried_and_removed_by_hand(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    await commit(app, engine, 1, 2, 3)
    options = database.ask("SELECT options FROM toril_outbox ORDER BY position LIMIT 1")[0][0]
    database.ask("UPDATE toril_outbox SET options = '{'")
    await app.outbox.drain()
    first, second, _ = await app.outbox.refused()
    database.ask("UPDATE toril_outbox SET options = :options", options=options)

    assert await app.outbox.retry([first.row_id]) == 1
    assert await app.outbox.drain() == 1
    assert await app.outbox.remove([second.row_id]) == 1
    assert await app.outbox.remove([first.row_id]) == 0
    assert len(await app.outbox.refused()) == 1
    assert await app.outbox.retry() == 1
    await app.outbox.drain()

    assert database.waiting == 0


@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
async def test_row_that_was_refused_long_ago_is_trimmed(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    await commit(app, engine, 1, 2)
    database.ask(
        "UPDATE toril_outbox SET reason = 'no', refused_ms = CASE WHEN position ="
        " (SELECT min(position) FROM toril_outbox) THEN 1 ELSE :now END",
        now=app.backend().clock.now_ms(),
    )

    await app.outbox.drain()

    (left,) = await app.outbox.refused()
    assert left.reason == "no"
    assert database.waiting == 1


async def test_sealed_fields_are_sealed_in_the_row(
    store_url: str, database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORIL_ENCRYPTION_KEYS", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    async with App(store_url, outbox=database.url) as app:
        charged: list[str] = []

        @app.task(sealed=("card",))
        async def charge(card: str, order: int) -> None:
            charged.append(card)

        async with AsyncSession(engine) as session, session.begin():
            await charge.enqueue_in(session, card="4111-1111", order=1)
        ((data,),) = database.ask("SELECT data FROM toril_outbox")
        async with app.worker():
            await wait_until(lambda: charged)

    assert "4111" not in str(data)
    assert "$sealed" in str(data)
    assert charged == ["4111-1111"]


@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg", "asyncpg"])
async def test_relay_waits_for_a_store_that_is_away_and_loses_nothing(
    database: Database, engine: AsyncEngine, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer.start(tmp_path, software="redis") as server:
        async with App(f"{server.url}?answer_timeout_s=1", outbox=database.url) as app:
            app.task(name="ship")(_ship)
            await commit(app, engine, 1)
            async with relaying(app):
                await wait_until(lambda: database.waiting == 0)
                server.kill()
                await commit(app, engine, 2, 3)
                await wait_until(lambda: "the outbox waits" in caplog.text, deadline_s=30)
                server.restart()
                await wait_until(lambda: database.waiting == 0, deadline_s=30)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
async def test_relay_goes_on_when_its_connections_to_postgresql_were_ended(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    async with relaying(app):
        await commit(app, engine, 1)
        await wait_until(lambda: database.waiting == 0)
        for order in (2, 3, 4):
            database.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await engine.dispose()
            await commit(app, engine, order)
            await wait_until(lambda: database.waiting == 0, deadline_s=30)

    assert await orders(app) == [1, 2, 3, 4]


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
async def test_postgresql_tells_a_relay_of_commits_so_that_it_polls_rarely(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    relay = Relay(open_database(database.url), app.backend)
    running = asyncio.create_task(relay.run())
    order = 0

    async def hears() -> bool:
        nonlocal order
        order += 1
        await commit(app, engine, order)
        return relay._hears

    await wait_until(hears)
    await commit(app, engine, 10_000)
    await wait_until(lambda: database.waiting == 0)

    assert relay._hears
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("driver", ["sqlite"])
async def test_relay_does_not_lock_the_database_while_the_store_works(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    """Whoever writes to it would wait for as long as a Redis server is silent."""
    await commit(app, engine, 1)
    relay = Relay(open_database(database.url), app.backend)
    seen: list[bool] = []
    store = app.backend().relaying

    class Watching:
        async def add(self, queue: str, jobs: Any, *, forget: Any) -> Any:
            await commit(app, engine, 2)  # fails if the database is locked
            seen.append(True)
            return await store.add(queue, jobs, forget=forget)

    batch = await add_rows(Watching(), "default", await relay._rows("default"), forget=[])
    await relay._settle([batch])

    assert seen == [True]
    assert [row.data for row in await rows_of(database)] == ['{"order":2}']
    await relay._database.close()
