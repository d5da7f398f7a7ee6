"""A store that goes away while requests run, and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until
from tests.web.access.calling import control
from tests.web.support import Served, serve

from toril import App

PATIENCE_S = 2.0
"""How long an answer may take while the store is away."""


async def test_requests_are_refused_within_2_s_while_redis_is_away(tmp_path: Path) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with RedisServer.start(tmp_path, options=options, software="redis") as redis:
        async with App(redis.url) as app, guarded(app) as served:
            await app.queue("mail").add_many([("send", {"n": n}) for n in range(50)])
            busy = [asyncio.ensure_future(keep_asking(served)) for _ in range(4)]
            await wait_until(lambda: all(task.get_name() != "" for task in busy))

            redis.kill()
            away = await asyncio.gather(
                *(timed(served, *request) for request in REQUESTS), return_exceptions=False
            )
            redis.restart()
            await wait_until(lambda: answers(served))
            after = [await timed(served, *request) for request in REQUESTS]
            for task in busy:
                task.cancel()
            seen = await asyncio.gather(*busy, return_exceptions=True)

    assert [status for status, _, _ in away] == [503] * len(REQUESTS)
    assert max(took_s for _, took_s, _ in away) < PATIENCE_S
    assert all("redis://" in text and "Traceback" not in text for _, _, text in away)
    assert [status for status, _, _ in after] == [200] * len(REQUESTS)
    assert not [one for one in seen if not isinstance(one, asyncio.CancelledError)]


@asynccontextmanager
async def guarded(app: App) -> AsyncIterator[Served]:
    """A server that asks for keys, which are in the store too, and a caller that has one."""
    access = control(app)
    key = await access.keys.add("caller", role="admin", payloads=True)
    async with serve(app, access=access) as served:
        served.http.headers["authorization"] = f"Bearer {key}"
        yield served


REQUESTS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/overview", None),
    ("GET", "/queues/mail/jobs", None),
    ("GET", "/queues/mail/jobs/1", None),
    ("POST", "/queues/mail/jobs", {"name": "send"}),
    ("POST", "/queues/mail/pause", {}),
    ("GET", "/ready", None),
)


async def timed(served: Served, method: str, path: str, body: object) -> tuple[int, float, str]:
    begin_s = time.monotonic()
    how: dict[str, Any] = {} if body is None else {"json": body}
    answer = await served.ask(method, path, **how)
    return answer.status_code, time.monotonic() - begin_s, answer.text


async def answers(served: Served) -> bool:
    return (await served.ask("GET", "/ready")).status_code == 200


async def keep_asking(served: Served) -> None:
    """Ask again and again; whatever happens to the store, the answer is one of these."""
    while True:
        answer = await served.ask("GET", "/queues/mail/jobs?limit=5")
        assert answer.status_code in (200, 503), answer.text


async def test_server_lives_while_the_store_is_away_and_streams_go_on(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path, software="redis") as redis:
        async with App(redis.url) as app, serve(app) as served:
            await app.queue("mail").add("send")
            url = f"{served.url}/api/v1/stream?topics=queue:mail"
            async with served.http.stream("GET", url, timeout=60) as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                live = served.interface.live
                await wait_until(lambda: all(one.begun for one, _ in live.sources.values()))

                redis.kill()
                async with asyncio.timeout(60):
                    while "away" not in await anext(lines):
                        pass
                health = await served.ask("GET", "/health")
                ready = await served.ask("GET", "/ready")
                redis.restart()
                await wait_until(lambda: answers(served))
                await app.queue("mail").add("send", {"n": 2})

                async with asyncio.timeout(60):
                    while '"added"' not in await anext(lines):
                        pass

    assert (health.status_code, ready.status_code) == (200, 503)
    assert ready.headers["retry-after"] == "1"
