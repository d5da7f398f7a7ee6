"""From an added job to its first line, 200 in a second: what the machine takes, and what ours does.

The floor is one list on Redis, pushed to and popped from by hand, which forgets a job whose worker
dies; on SQLite one row that is written, synced, and marked as taken by the same thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit

import apsw
import msgspec
from tests.support.redis_server import RedisServer

from benchmarks.budget.rows import Row
from benchmarks.latencies import Sample, percentiles_ms
from benchmarks.loop import loop_factory
from benchmarks.order import Order
from benchmarks.pace import send_on_schedule
from benchmarks.toril_figures import noops, pickup

JOBS = 1_500
WARM_UP = 100

Act = Callable[[], Coroutine[Any, Any, list[Sample]]]


async def _popped(order: Order, url: str) -> list[Sample]:
    parts = urlsplit(url)
    taking, asking = await asyncio.open_connection(parts.hostname, parts.port)
    _, adding = await asyncio.open_connection(parts.hostname, parts.port)
    samples: list[Sample] = []

    async def take() -> None:
        for _ in range(order.jobs + order.warm_up):
            asking.write(b"BLPOP pick-up 0\r\n")
            for _ in range(4):  # the number of words, two lengths, the list's name
                await taking.readline()
            due_ns = int(await taking.readline())
            samples.append((due_ns, monotonic_ns() - due_ns))

    async def add(due_ns: int) -> None:
        adding.write(b"RPUSH pick-up %d\r\n" % due_ns)

    worker = asyncio.create_task(take())
    await send_on_schedule(add, order)
    await worker
    for writer in (asking, adding):
        writer.close()
        await writer.wait_closed()
    return samples


async def _written(order: Order, path: Path) -> list[Sample]:
    writer, taker = apsw.Connection(str(path)), apsw.Connection(str(path))
    writer.execute("PRAGMA journal_mode = WAL").fetchall()
    writer.execute("PRAGMA synchronous = FULL")
    taker.execute("PRAGMA synchronous = NORMAL")  # what is lost with the power is taken again
    writer.execute("CREATE TABLE jobs (due_ns INTEGER, taken INTEGER)")
    samples: list[Sample] = []

    def take(due_ns: int, number: int) -> None:
        taker.execute("UPDATE jobs SET taken = 1 WHERE rowid = ?", (number,))
        samples.append((due_ns, monotonic_ns() - due_ns))

    async def add(due_ns: int) -> None:
        writer.execute("INSERT INTO jobs VALUES (?, 0)", (due_ns,))
        asyncio.get_running_loop().call_soon(take, due_ns, writer.last_insert_rowid())

    await send_on_schedule(add, order)
    await asyncio.sleep(0)
    writer.close()
    taker.close()
    return samples


async def _ours(order: Order, where: str) -> list[Sample]:
    noops.samples.clear()
    return await pickup.one_process(order, where)


def rows(folder: Path) -> list[Row]:
    """Measure each once: a middle and an end of 1,500 jobs."""
    on_redis = Order(
        peer="toril",
        work="pickup.one_process",
        store="redis",
        jobs=JOBS,
        warm_up=WARM_UP,
        per_s=200,
    )
    on_sqlite = msgspec.structs.replace(on_redis, store="sqlite")
    with RedisServer.start(folder) as server:
        kinds: list[tuple[str, Act, Act]] = [
            (
                "Redis",
                lambda: _popped(on_redis, server.url),
                lambda: _ours(on_redis, server.url),
            ),
            (
                "SQLite, durability `full`",
                lambda: _written(on_sqlite, folder / "floor.db"),
                lambda: _ours(on_sqlite, str(folder)),
            ),
        ]
        return [row for name, floor, ours in kinds for row in _rows(name, floor, ours)]


def _rows(name: str, floor: Act, ours: Act) -> list[Row]:
    found = []
    for act in (floor, ours):
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            found.append(percentiles_ms(runner.run(act()), warm_up=WARM_UP))
    return [
        Row(f"pick-up on {name}, p{share}", *(one[f"p{share}_ms"] * 1000 for one in found))
        for share in ("50", "99")
    ]
