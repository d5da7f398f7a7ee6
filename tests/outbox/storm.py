"""Transactions by the thousand, a third rolled back, while relays are killed: jobs = commits.

Prints what it saw. The long form: python -m tests.outbox.storm
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool
from tests.support.lifelines import dies_with_us
from tests.support.postgres import running_postgres
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until, wait_until_sync

from toril import App, KeepPolicy, Task
from toril.outbox.table import create_outbox

ROOT = Path(__file__).parents[2]
QUEUES = ("mail", "paint", "reports")
PRODUCERS = 4
NONE = KeepPolicy(count=0)
ORDER = text("INSERT INTO orders (id) VALUES (:id)")


class Undone(Exception):  # noqa: N818 - no error: it rolls a transaction back
    """Ends a transaction without a commit."""


@dataclass
class Seen:
    """What a run has seen."""

    committed: list[list[int]] = field(default_factory=lambda: [[] for _ in range(PRODUCERS)])
    """By producer, in its order."""
    rolled_back: int = 0
    ran: list[int] = field(default_factory=list)
    kills: int = 0
    waited_s: float = 0.0
    left: int = 0


class Relays:
    """Processes of `toril relay` that are killed and started again."""

    def __init__(self, many: int, outbox: str, store: str, folder: Path) -> None:
        self._command = [sys.executable, "-m", "toril", "relay", "--outbox", outbox]
        self._command += ["--url", store]
        self._folder = folder
        self._running = [self._start() for _ in range(many)]

    def _start(self) -> tuple[subprocess.Popen[bytes], Path]:
        log = self._folder / f"relay-{secrets.token_hex(4)}.log"
        with log.open("wb") as output:
            command = [*dies_with_us(), *self._command]
            return subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT), log

    def _working(self, which: int) -> tuple[subprocess.Popen[bytes], Path]:
        """Return one, once it relays."""
        process, log = self._running[which]
        wait_until_sync(
            lambda: "relaying" in log.read_text() or process.poll() is not None,
            deadline_s=60,
            what=f"a relay: {log.read_text()}",
        )
        assert process.poll() is None, log.read_text()
        return process, log

    def kill(self, which: int, after_s: float) -> None:
        """Kill one that works by SIGKILL, and start another."""
        which %= len(self._running)
        process, _ = self._working(which)
        time.sleep(after_s)  # so that it happens at any moment of its work
        process.kill()
        process.wait()
        self._running[which] = self._start()

    def end(self) -> None:
        """End all, by SIGTERM."""
        for which in range(len(self._running)):
            process, log = self._working(which)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()


async def storm(
    *, outbox: str, engine: AsyncEngine, store: str, folder: Path, transactions: int, kills: int
) -> Seen:
    """Make transactions while relays are killed; run all jobs, of which nothing is kept."""
    seen = Seen()
    app = App(store)
    tasks = {}
    for queue in QUEUES:

        @app.task(queue=queue, name=f"ship_{queue}", keep_completed=NONE)
        async def ship(order: int) -> None:
            seen.ran.append(order)

        tasks[queue] = ship
    relays = Relays(2, outbox, store, folder)
    made = 0

    async def produce(producer: int) -> None:
        nonlocal made
        chance = random.Random(producer)
        for order in range(producer, transactions, PRODUCERS):
            task = tasks[QUEUES[order // PRODUCERS % len(QUEUES)]]
            undone = chance.random() < 1 / 3
            with contextlib.suppress(Undone):
                async with AsyncSession(engine) as session, session.begin():
                    await session.execute(ORDER, {"id": order})
                    if chance.random() < 0.1:
                        inner = await session.begin_nested()
                        await task.enqueue_in(session, order=-order - 1)
                        await inner.rollback()
                    await task.enqueue_in(session, order=order)
                    if undone:
                        raise Undone
            if undone:
                seen.rolled_back += 1
            else:
                seen.committed[producer].append(order)
            made += 1

    def reached(many: int) -> bool:
        return made >= many

    async def kill() -> None:
        chance = random.Random(99)
        for number in range(kills):
            at = (number + 1) * transactions // (kills + 1)
            await wait_until(partial(reached, at), deadline_s=300, what="transactions")
            await asyncio.to_thread(relays.kill, number, chance.random() * 0.05)
            seen.kills += 1

    async with app:
        async with app.worker(concurrency=1):
            began_s = time.monotonic()
            await asyncio.gather(*map(produce, range(PRODUCERS)), kill())
            wanted = sum(map(len, seen.committed))
            await wait_until(lambda: len(seen.ran) >= wanted, deadline_s=120, what="the jobs")
            seen.waited_s = time.monotonic() - began_s
            await asyncio.to_thread(relays.end)
        seen.left = sum(one.waiting + one.active + one.delayed for one in await app.queues())
    return seen


def check(seen: Seen, orders: set[int], waiting: int) -> None:
    """Jobs are commits, exactly; those of a producer ran in its order, queue by queue."""
    committed = {order for some in seen.committed for order in some}
    assert orders == committed
    assert Counter(seen.ran) == Counter(committed)
    assert (waiting, seen.left) == (0, 0)
    place = {order: index for index, order in enumerate(seen.ran)}
    for some in seen.committed:
        for queue in range(len(QUEUES)):
            own = [place[one] for one in some if one // PRODUCERS % len(QUEUES) == queue]
            assert own == sorted(own)


async def latencies(task: Task[Any, Any], engine: AsyncEngine, app: App, many: int) -> list[float]:
    """Return how long after its commit the store knew each of some jobs, in seconds."""
    found = []
    chance = random.Random(7)
    for number in range(many):
        async with AsyncSession(engine) as session, session.begin():
            job = await task.enqueue_in(session, order=number)
        began_s = time.monotonic()
        while await app.backend().jobs.get(job.queue, job.id) is None:
            await asyncio.sleep(0.000_5)
        found.append(time.monotonic() - began_s)
        await asyncio.sleep(chance.random() * 0.06)
    return found


def shown(found: list[float]) -> str:
    """Return p50, p99 and the longest, in ms."""
    cuts = statistics.quantiles(found, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f}, max {max(found) * 1000:.1f}"


async def measure(outbox: str, engine: AsyncEngine, store: str, folder: Path, many: int) -> None:
    """Print the time from commit to job, with a relay in another process and in this one."""
    app = App(store, outbox=outbox)

    @app.task(queue="quick")
    async def note(order: int) -> None: ...

    async with app:
        relays = Relays(1, outbox, store, folder)
        await latencies(note, engine, app, 5)
        print(f"  commit to job, toril relay: {shown(await latencies(note, engine, app, many))}")
        await asyncio.to_thread(relays.end)
        relaying = asyncio.create_task(app.outbox.relay())
        await latencies(note, engine, app, 5)
        print(f"  commit to job, in a worker: {shown(await latencies(note, engine, app, many))}")
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)


@contextlib.contextmanager
def databases(kind: str, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield URLs of a new database: for a relay, for asynchronous code, for plain code."""
    if kind == "sqlite":
        path = folder / "shop.db"
        yield f"sqlite:///{path}", f"sqlite+aiosqlite:///{path}", f"sqlite:///{path}"
        return
    with running_postgres(folder) as url:
        plain = url.replace("postgresql:", "postgresql+psycopg:")
        yield plain, plain.replace("+psycopg", "+asyncpg"), plain


def prepare(plain_url: str) -> None:
    """Make the tables."""
    with create_engine(plain_url, poolclass=NullPool).begin() as connection:
        create_outbox(connection)
        connection.execute(text("CREATE TABLE orders (id BIGINT PRIMARY KEY)"))
    if plain_url.startswith("sqlite"):
        with create_engine(plain_url, poolclass=NullPool).connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))


def left_in(plain_url: str) -> tuple[set[int], int]:
    """Return the orders of a database, and how many rows its outbox has."""
    with create_engine(plain_url, poolclass=NullPool).connect() as connection:
        orders = set(connection.execute(text("SELECT id FROM orders")).scalars())
        return orders, connection.execute(text("SELECT count(*) FROM toril_outbox")).scalar_one()


def main() -> None:
    """Run the long form on both databases and both stores."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--transactions", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--samples", type=int, default=300)
    given = parser.parse_args()

    async def run(outbox: str, async_url: str, plain: str, store: str, folder: Path) -> None:
        engine = create_async_engine(async_url)
        seen = await storm(
            outbox=outbox, engine=engine, store=store, folder=folder,
            transactions=given.transactions, kills=given.kills,
        )  # fmt: skip
        orders, waiting = left_in(plain)
        check(seen, orders, waiting)
        print(
            f"  {given.transactions} transactions, {seen.rolled_back} rolled back,"
            f" {len(orders)} committed; relays killed {seen.kills} times; {len(seen.ran)} jobs ran,"
            f" {len(set(seen.ran))} different ones, in {seen.waited_s:.1f} s"
        )
        await measure(outbox, engine, store, folder, given.samples)
        await engine.dispose()

    with tempfile.TemporaryDirectory(prefix="toril-outbox-") as name:
        os.chmod(name, 0o755)
        for store_kind in ("redis", "sqlite"):
            for kind in ("postgres", "sqlite"):
                folder = Path(name) / f"{kind}-{store_kind}"
                folder.mkdir()
                with contextlib.ExitStack() as stack:
                    store = f"sqlite:///{folder}/toril.db"
                    if store_kind == "redis":
                        server = RedisServer.start(folder, software="redis")
                        store = stack.enter_context(server).url
                    urls = stack.enter_context(databases(kind, folder))
                    prepare(urls[2])
                    print(f"{kind} to {store_kind}", flush=True)
                    asyncio.run(run(*urls, store, folder))


if __name__ == "__main__":
    main()
