"""A large store, and what its own counters say of the calls that it was asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.redis_client import RedisClient

from benchmarks.web.wire import Wire
from benchmarks.web.worker import BROKEN, BUSY, app_of
from toril import App
from toril.core.codec import Json
from toril.web.access.keys import Keys

CHUNK = 1000
ROOT = Path(__file__).resolve().parents[2]
LONG = "long"
"""The queue with half of the jobs."""


class Calls(NamedTuple):
    """What a store was asked since the last look."""

    many: int
    longest_ms: float
    name: str


async def fill(url: str, *, jobs: int, queues: int) -> str:
    """Fill a store and return a key for its server.

    Half of the jobs wait in one queue, a tenth have failed, a tenth are for a worker, and the rest
    wait in as many queues as there are to be.
    """
    tenth = jobs // 10
    async with app_of(url) as app:
        await _add(app, LONG, "send", jobs // 2)
        await _add(app, BUSY, "nothing", tenth)
        await _add(app, BROKEN, "fails", tenth)
        others = queues - 3
        for n in range(others):
            await _add(app, f"queue-{n:03}", "send", (jobs - jobs // 2 - 2 * tenth) // others)
        async with child("worker", url, BROKEN):
            while (await app.queue(BROKEN).info()).failed < tenth:  # type: ignore[union-attr] # it is there
                await asyncio.sleep(0.2)
        return await Keys(app).add("bench", role="admin", payloads=True)


async def _add(app: App, queue: str, name: str, many: int) -> None:
    for first in range(0, many, CHUNK):
        part = range(first, min(first + CHUNK, many))
        await app.queue(queue).add_many(
            [(name, letter(n) if name == "send" else {"n": n}) for n in part]
        )


def letter(n: int) -> Json:
    """Return a payload of an ordinary size."""
    return {"to": f"user{n}@example.com", "template": "receipt", "order": {"id": n, "total": 12.5}}


@asynccontextmanager
async def child(name: str, *arguments: str) -> AsyncIterator[subprocess.Popen[str]]:
    """Run one of this package's programs meanwhile."""
    command = [sys.executable, "-m", f"benchmarks.web.{name}", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def serving(name: str, url: str) -> AsyncIterator[str]:
    """Run a program that serves, and give where it does."""
    async with child(name, url) as process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        if not line:
            raise RuntimeError(f"benchmarks.web.{name} does not start")
        yield line.strip()


class Counters:
    """Counts calls of a store: Redis by itself, a file in the server's process."""

    def __init__(self, url: str, server: str) -> None:
        self._server = server
        self._redis = None if url.startswith("sqlite") else RedisClient(port=urlsplit(url).port)
        if self._redis is not None:
            self._redis.command("CONFIG", "SET", "slowlog-log-slower-than", "500")
            self._redis.command("CONFIG", "SET", "slowlog-max-len", "10000")

    async def since(self) -> Calls:
        """Return what was asked since the last time, and begin anew."""
        if self._redis is None:
            wire = await Wire.open(self._server)
            told = (await wire.ask("GET", "/counted")).json
            wire.close()
            return Calls(told["calls"], told["longest_ms"], told["name"])
        stats = str(self._redis.command("INFO", "commandstats"))
        many = sum(
            int(line.partition("calls=")[2].partition(",")[0])
            for line in stats.splitlines()
            if line.startswith("cmdstat_") and not line.startswith(_OWN)
        )
        slow: Sequence[Sequence[object]] = self._redis.command("SLOWLOG", "GET", "-1")
        longest = max(slow, key=_took_us, default=None)
        self._redis.command("SLOWLOG", "RESET")
        self._redis.command("CONFIG", "RESETSTAT")
        if longest is None:
            return Calls(many, 0.0, "")
        words = [str(word)[:40] for word in longest[3][:3]]  # type: ignore[index] # its arguments
        return Calls(many, _took_us(longest) / 1000, " ".join(words))


_OWN = ("cmdstat_slowlog", "cmdstat_info", "cmdstat_config")


def _took_us(entry: Sequence[object]) -> int:
    return int(str(entry[2]))
