"""Live streams tell which store is live, and each switch to the other, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fallback.support import away, back
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until
from tests.web.support import serve

from toril import App
from toril.client import AsyncClient, LiveMessage
from toril.web.options import ServerOptions

QUICK = ServerOptions(tick_s=0.1)


async def listen(
    client: AsyncClient, told: list[LiveMessage], until: Callable[[LiveMessage], bool]
) -> None:
    """Take down what a stream tells of the store, up to a message."""
    async for message in client.stream(store=True):
        told.append(message)
        if until(message):
            return


def returned(message: LiveMessage) -> bool:
    """Whether Redis is live again, and nothing is left in the spool."""
    facts: dict[str, Any] = message.data
    return (
        message.kind == "store"
        and (facts["store"], facts["to_move"]) == ("redis", 0)
        and (facts["since"] is not None and facts["reason"] is None and facts["moving"] is False)
    )


async def test_stream_tells_each_switch_once(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app(work=False)
    queue = app.queue("mail")
    await queue.add("send", {})
    told: list[LiveMessage] = []
    async with serve(app, QUICK) as served, AsyncClient(served.url) as client:
        switched: list[LiveMessage] = []

        def done(message: LiveMessage) -> bool:
            if message.kind == "switched":
                switched.append(message)
            return len(switched) == 2 and returned(message)

        listening = asyncio.create_task(listen(client, told, done))
        await wait_until(lambda: told, what="the first message")
        assert (told[0].kind, told[0].data["store"], told[0].data["type"]) == (
            "store", "redis", "bull",
        )  # fmt: skip
        server.kill()
        await away(app)
        await queue.add("send", {})

        def waits() -> bool:
            return any(one.kind == "store" and one.data["to_move"] == 1 for one in told)

        await wait_until(waits, what="the job that waits in the spool")
        server.restart()
        await back(app)
        await asyncio.wait_for(listening, 60)

    assert [(one.data["from"], one.data["to"]) for one in switched] == [
        ("redis", "spool"),
        ("spool", "redis"),
    ]
    assert all(one.data["at"] and one.data["reason"] for one in switched)
    during = [one.data for one in told if one.kind == "store" and one.data["store"] == "spool"]
    assert {one["type"] for one in during} == {"in-memory"}
    assert during[0]["since"] == switched[0].data["at"]


async def test_who_comes_later_is_told_the_state_and_no_old_switch(
    app: App, server: RedisServer
) -> None:
    await app.queue("mail").add("send", {})
    server.kill()
    await away(app)
    async with serve(app, QUICK) as served, AsyncClient(served.url) as client:
        told: list[LiveMessage] = []
        first = asyncio.create_task(listen(client, told, lambda one: one.kind == "never"))
        await wait_until(lambda: told, what="the first message")
        later: list[LiveMessage] = []
        await asyncio.wait_for(listen(client, later, lambda one: True), 60)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert [(one.kind, one.data["store"]) for one in told + later] == [("store", "spool")] * 2
    assert later[0].data["reason"]


async def test_app_without_a_fallback_store_says_where_jobs_go(server: RedisServer) -> None:
    async with App(server.url) as app:
        async with serve(app, QUICK) as served, AsyncClient(served.url) as client:
            told: list[LiveMessage] = []
            await asyncio.wait_for(listen(client, told, lambda one: True), 60)
    assert (told[0].kind, told[0].data["store"], told[0].data["to_move"]) == ("store", "redis", 0)
