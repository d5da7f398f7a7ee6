"""A job that is a row of the caller's database: there if the transaction commits, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.ext.asyncio import async_sessionmaker as sessionmaker
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.orm import sessionmaker as plain_sessionmaker
from tests.outbox.conftest import Database
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, InvalidPayloadError, JobDraft, JobOptions
from toril.core.errors import OutboxError
from toril.engine.job import NewJob
from toril.engine.states import State
from toril.outbox.writer import OutboxWriter

ORDER = text("INSERT INTO orders (id) VALUES (:id)")


@pytest.fixture
async def app(store_url: str, database: Database) -> AsyncIterator[App]:
    """An app with an outbox."""
    made = App(store_url, outbox=database.url)
    async with made:
        yield made


async def ids(app: App, queue: str = "default") -> list[int]:
    """Return the orders of the jobs that wait, in the order in which they will run."""
    page = await app.queue(queue).jobs(State.WAIT, limit=1000)
    return [job.data["order"] for job in page.jobs]


async def test_job_is_there_after_the_commit_and_not_after_a_rollback(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    async with AsyncSession(engine) as session, session.begin():
        await session.execute(ORDER, {"id": 1})
        job = await ship.enqueue_in(session, order=1)
        assert await app.outbox.drain() == 0
    async with AsyncSession(engine) as session:
        await session.execute(ORDER, {"id": 2})
        await ship.enqueue_in(session, order=2)
        await session.rollback()

    assert await app.outbox.drain() == 1
    assert await ids(app) == [1]
    assert (await job.info()).id == job.id
    assert database.ask("SELECT id FROM orders") == [(1,)]
    assert database.waiting == 0


async def test_savepoint_that_is_rolled_back_takes_its_jobs_with_it(
    app: App, engine: AsyncEngine
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    async with AsyncSession(engine) as session, session.begin():
        await ship.enqueue_in(session, order=1)
        async with session.begin_nested():
            await ship.enqueue_in(session, order=2)
        inner = await session.begin_nested()
        await ship.enqueue_in(session, order=3)
        await inner.rollback()
        await ship.enqueue_in(session, order=4)

    await app.outbox.drain()

    assert await ids(app) == [1, 2, 4]


async def test_connections_and_plain_and_scoped_sessions_do_as_well(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    async with engine.begin() as connection:
        await ship.enqueue_in(connection, order=1)
    scoped = async_scoped_session(sessionmaker(engine), scopefunc=asyncio.current_task)
    async with scoped.begin():
        await ship.enqueue_in(scoped, order=2)
    await scoped.remove()
    plain = database.plain()
    with plain.begin() as one:
        ship.enqueue_in_sync(one, order=3)
    with Session(plain) as session, session.begin():
        ship.enqueue_in_sync(session, order=4)
    registry = scoped_session(plain_sessionmaker(plain))
    with registry.begin():
        ship.enqueue_in_sync(registry, order=5)
    registry.remove()
    with plain.connect() as one:
        ship.enqueue_in_sync(one, order=6)  # it is closed without a commit

    await app.outbox.drain()

    assert await ids(app) == [1, 2, 3, 4, 5]


async def test_queue_by_name_adds_as_well(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    queue = app.queue("paint")
    async with AsyncSession(engine) as session, session.begin():
        await queue.add_in(session, "cars", {"order": 1})
    with Session(database.plain()) as plain, plain.begin():
        queue.add_in_sync(plain, "vans", {"order": 2}, JobOptions(priority=7))

    await app.outbox.drain()

    assert await ids(app, "paint") == [1]
    (van,) = (await queue.jobs(State.PRIORITIZED)).jobs
    assert (van.name, van.priority, van.data) == ("vans", 7, {"order": 2})


async def test_options_arrive_and_a_delay_counts_from_when_the_row_was_written(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    async with AsyncSession(engine) as session, session.begin():
        own = await ship.with_options(job_id="order-7", max_attempts=9).enqueue_in(session, 7)
        late = await ship.with_options(delay=timedelta(hours=1)).enqueue_in(session, 8)
    hour_ms = 3_600_000
    database.ask(
        "UPDATE toril_outbox SET options = replace(options, :there, :back) WHERE queue = 'default'",
        there='"delay_ms":3600000',
        back=f'"delay_ms":{2 * hour_ms}',
    )

    await app.outbox.drain()

    assert own.id == "order-7"
    assert (await own.info()).max_attempts == 9
    info = await late.info()
    assert info.state is State.DELAYED
    assert info.run_at is not None
    (row,) = [info.run_at - info.created_at]
    assert row == timedelta(hours=2)


async def test_payload_is_checked_at_the_call_and_nothing_is_written(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task(max_payload_bytes=100)
    async def ship(order: int, note: str = "") -> None: ...

    async with AsyncSession(engine) as session, session.begin():
        with pytest.raises(InvalidPayloadError, match="order"):
            await ship.enqueue_in(session, order="one")  # type: ignore[arg-type] # is refused
        with pytest.raises(InvalidPayloadError, match="max_payload_bytes=100"):
            await ship.enqueue_in(session, order=1, note="x" * 200)

    assert database.waiting == 0


async def test_enqueue_middleware_runs_once(app: App, engine: AsyncEngine) -> None:
    seen: list[str] = []

    @app.enqueue_middleware
    def mark(job: JobDraft) -> None:
        seen.append(job.name)
        job.payload["order"] += 100

    @app.task
    async def ship(order: int) -> None: ...

    async with AsyncSession(engine) as session, session.begin():
        await ship.enqueue_in(session, order=1)
        await app.queue("default").add_in(session, "ship", {"order": 2})

    await app.outbox.drain()

    assert seen == ["ship", "ship"]
    assert await ids(app) == [101, 102]


@pytest.mark.parametrize("driver", ["sqlite"])
async def test_what_is_no_transaction_is_refused_with_what_would_do(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    with Session(database.plain()) as plain:
        with pytest.raises(InvalidOptionError, match="expected an AsyncSession or AsyncConnection"):
            await ship.enqueue_in(plain, order=1)
        async with AsyncSession(engine) as session:
            with pytest.raises(InvalidOptionError, match="enqueue_in takes the asynchronous ones"):
                ship.enqueue_in_sync(session, order=1)
    with pytest.raises(InvalidOptionError, match=r"given a builtins\.str: expected"):
        await ship.enqueue_in("order 1", order=1)


async def test_missing_table_is_told_with_the_way_out(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    @app.task
    async def ship(order: int) -> None: ...

    database.ask("DROP TABLE toril_outbox")

    with pytest.raises(OutboxError, match="has no table toril_outbox: run the migration"):
        async with AsyncSession(engine) as session, session.begin():
            await ship.enqueue_in(session, order=1)
    with pytest.raises(OutboxError, match="has no table toril_outbox: run the migration"):
        await app.outbox.drain()
    health = await app.check()
    (finding,) = [one for one in health.findings if one.subject == "outbox"]
    assert finding.grade == "error"


async def test_worker_of_the_app_relays_and_runs(app: App, engine: AsyncEngine) -> None:
    ran: list[int] = []

    @app.task
    async def ship(order: int) -> None:
        ran.append(order)

    async with app.worker(concurrency=1):
        for order in range(20):
            async with AsyncSession(engine) as session, session.begin():
                await ship.enqueue_in(session, order=order)
        await wait_until(lambda: len(ran) == 20)

    assert ran == list(range(20))


async def test_app_that_was_told_of_no_database_says_so(store_url: str) -> None:
    async with App(store_url) as app:
        with pytest.raises(InvalidOptionError, match=r"App\(outbox=\.\.\.\) or TORIL_OUTBOX"):
            _ = app.outbox


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("sqlite://", "expected a file"),
        ("sqlite:///:memory:", "expected a file"),
        ("mysql://host/shop", "outbox"),
        ("nonsense", "expected a URL"),
        ("nosuch://host/shop", "no database that SQLAlchemy knows"),
        (object(), "or an engine"),
    ],
)
def test_place_that_can_have_no_outbox_is_refused(place: object, sentence: str) -> None:
    app = App("sqlite://:memory:", outbox=place)

    with pytest.raises(InvalidOptionError, match=sentence):
        app.run_sync(app.outbox.status())


@pytest.mark.parametrize("driver", ["sqlite"])
@pytest.mark.parametrize("store_url", ["sqlite-store"], indirect=True)
async def test_end_of_a_transaction_wakes_the_relay_of_this_process_once(
    app: App, engine: AsyncEngine, database: Database
) -> None:
    woken: list[str] = []
    writer = OutboxWriter(app.backend().clock, lambda: woken.append("woken"), lambda: None)
    jobs = [NewJob(queue="default", name="x", data="{}") for _ in range(3)]
    async with AsyncSession(engine) as session:
        async with session.begin():
            await writer.write(session, jobs[0])
            inner = await session.begin_nested()
            await writer.write(session, jobs[1])
            await inner.commit()
            assert not woken, "nothing is committed yet"
        assert woken == ["woken"]
        async with session.begin():
            await session.execute(ORDER, {"id": 1})
        assert woken == ["woken"], "this transaction has written no row"
        async with session.begin():
            await writer.write(session, jobs[2])
        assert woken == ["woken", "woken"]
    assert database.waiting == 3
