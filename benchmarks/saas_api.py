"""The SaaS API's figures: submissions a second, what the queue adds to a route, a large cleaning.

    python -m benchmarks.saas_api [--store sqlite|redis] [--requests 2000] [--jobs 1000000]

Exports have a program of their own: `python -m benchmarks.exports`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import aiohttp
from tests.examples.saas_api.saas import ACME, System
from tests.support.redis_server import RedisServer

from benchmarks.systems import asked_for, time_ms
from toril import App, KeepPolicy

CLIENTS = 8
"""Requests at once."""
CHUNK = 5000
BODY = {"type": "USER_NOTIFICATION", "data": {"title": "T", "body": "B"}}
QUEUE = "old"


async def timed(many: int, clients: int, ask: Callable[[], Awaitable[None]]) -> str:
    """Make requests, so many at once, and say how many a second and how long each took."""
    times: list[float] = []

    async def client() -> None:
        for _ in range(many // clients):
            began_s = time.perf_counter()
            await ask()
            times.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = len(times) / (time.perf_counter() - began_s)
    return (
        f"{rate:7,.0f}/s   p50 {time_ms(times, 0.5):6.2f} ms   p99 {time_ms(times, 0.99):6.2f} ms"
    )


async def submissions(system: System, many: int) -> None:
    """Compare a submission with a request that the same process answers without the queue."""
    headers = {"Authorization": f"Bearer {ACME}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def submit() -> None:
            async with http.post(f"{system.url}/api/queue/jobs", json=BODY) as answer:
                assert answer.status == 201, await answer.text()

        async def nothing() -> None:  # read, known by its key, and refused before the queue
            body = {**BODY, "more": 1}
            async with http.post(f"{system.url}/api/queue/jobs", json=body) as answer:
                assert answer.status == 422, await answer.text()

        for clients in (1, CLIENTS):
            for name, ask in (("a route without queue", nothing), ("a submission", submit)):
                await timed(clients * 20, clients, ask)
                print(f"  {clients} at once, {name:22}{await timed(many, clients, ask)}")


async def cleaning(url: str, jobs: int) -> None:
    """Clean completed jobs, while workers go on with others; say how long calls took."""
    app = App(url)
    gaps: list[float] = []

    @app.task(name="nothing", queue=QUEUE, keep_completed=KeepPolicy(count=None))
    async def nothing() -> None: ...

    @app.task(name="beat", queue="live", keep_completed=KeepPolicy(count=10))
    async def beat() -> None: ...

    async with app, app.worker(concurrency=500):
        began_s = time.perf_counter()
        for first in range(0, jobs, CHUNK):
            await app.queue(QUEUE).add_many([("nothing", {})] * min(CHUNK, jobs - first))
        while True:
            info = await app.queue(QUEUE).info()
            if info is not None and info.completed >= jobs:
                break
            await asyncio.sleep(0.2)
        print(f"  made {jobs:,} completed jobs in {time.perf_counter() - began_s:.0f} s")
        over = asyncio.Event()

        async def live() -> None:
            while not over.is_set():
                began_s = time.perf_counter()
                await (await beat.enqueue()).result(timeout_s=60)
                gaps.append(time.perf_counter() - began_s)

        beats = asyncio.create_task(live())
        calls: list[float] = []
        removed = 0
        began_s = time.perf_counter()
        while True:
            call_s = time.perf_counter()
            gone = len(await app.queue(QUEUE).clean("completed", older_than=0, limit=1000))
            calls.append(time.perf_counter() - call_s)
            removed += gone
            if gone < 1000:
                break
        took_s = time.perf_counter() - began_s
        over.set()
        await beats
    print(
        f"  cleaned {removed:,} jobs in {took_s:.1f} s, 1,000 a call:"
        f" median {time_ms(calls, 0.5):.1f} ms, longest {max(calls) * 1000:.1f} ms"
    )
    print(
        f"  meanwhile {len(gaps):,} jobs, one after another: median {time_ms(gaps, 0.5):.1f} ms,"
        f" longest {max(gaps) * 1000:.1f} ms from adding to its result"
    )


def main() -> None:
    """Measure on one store, or on both."""
    given = asked_for(__doc__, requests=2000, jobs=1_000_000)
    for store in given.stores:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = f"sqlite:///{folder}/jobs.db"
            if store == "redis":
                (folder / "redis").mkdir()
                url = stack.enter_context(RedisServer.start(folder / "redis")).url
            print(f"{store}, load of the machine {os.getloadavg()[0]:.1f}:")
            system = System(folder, url, {})
            stack.callback(system.close)
            system.start_api()
            asyncio.run(submissions(system, given.requests))
            system.close()
            asyncio.run(cleaning(url, given.jobs))


if __name__ == "__main__":
    main()
