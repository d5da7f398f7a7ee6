"""Streams of live events: what they tell, how they go on, and what they cost the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from tests.support.waiting import wait_until
from tests.web.support import Served, serve

from toril import App
from toril.client import ApiError, AsyncClient, LiveMessage
from toril.web.options import ServerOptions
from toril.web.sources import MOST_BEHIND, Listener, Source


async def until(
    client: AsyncClient, wanted: Callable[[LiveMessage], bool], **topics: Any
) -> list[LiveMessage]:
    """Return the messages of a stream up to the first that is wanted."""
    told: list[LiveMessage] = []
    async with asyncio.timeout(60):
        stream = client.stream(**topics)
        async for message in stream:
            told.append(message)
            if wanted(message):
                await stream.aclose()  # type: ignore[attr-defined] # a generator
                break
    return told


async def test_stream_tells_figures_that_change_and_nothing_else(
    app: App, client: AsyncClient, served: Served
) -> None:
    for name in ("mail", "push"):
        await app.queue(name).add("send")
    listening = asyncio.ensure_future(
        until(client, lambda one: one.data["queues"][0]["waiting"] == 2, overview=True)
    )
    await wait_until(lambda: served.interface.live.open == 1)
    await asyncio.wait([listening], timeout=0.3)  # some ticks, in which nothing happens

    await app.queue("push").add("send")

    first, then = await listening
    assert [info["name"] for info in first.data["queues"]] == ["mail", "push"]
    assert [info["name"] for info in then.data["queues"]] == ["push"]
    assert (first.data["gone"], then.data["gone"]) == ([], [])


async def test_stream_tells_that_a_queue_is_gone(
    app: App, client: AsyncClient, served: Served
) -> None:
    queue = app.queue("mail")
    await queue.add("send")
    await queue.pause()
    listening = asyncio.ensure_future(
        until(client, lambda one: bool(one.data["gone"]), overview=True)
    )
    await wait_until(lambda: served.interface.live.open == 1)
    await wait_until(lambda: served.interface.live.follows_figures)

    await queue.obliterate()

    assert (await listening)[-1].data["gone"] == ["mail"]


async def test_events_are_told_as_they_happen_and_missed_ones_first(
    app: App, client: AsyncClient, served: Served
) -> None:
    listening = asyncio.ensure_future(
        until(client, lambda one: one.data["job_id"] == "2", queues=["mail"])
    )
    await wait_until(lambda: served.interface.live.open == 1)
    await follows(served)
    for n in range(2):
        await app.queue("mail").add("send", {"n": n})
    told = await listening

    for n in range(2):  # while nobody listens
        await app.queue("mail").add("send", {"n": n})
    again = await until(
        client, lambda one: one.data["job_id"] == "4" and one.data["name"] == "waiting",
        queues=["mail"], after=told[-1].id,
    )  # fmt: skip

    seen = [(one.data["job_id"], one.data["name"]) for one in told + again]
    assert seen == [
        (str(job), name) for job in range(1, 5) for name in ("added", "waiting")
    ]  # each once, in order
    positions = [one.data["position"] for one in told + again]
    assert positions == sorted(set(positions))


async def follows(served: Served) -> None:
    """Wait until the streams' sources have asked where their queue's log ends."""
    live = served.interface.live
    await wait_until(lambda: all(source.begun for source, _ in live.sources.values()))


async def test_many_streams_cost_the_store_what_one_costs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"queues": 0, "read": 0, "latest": 0}
    backend = app.backend()

    def counting(holder: object, name: str) -> None:
        original = getattr(holder, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            asked[name] += 1
            return await original(*args, **kwargs)

        monkeypatch.setattr(holder, name, counted)

    counting(backend.counts, "queues")
    counting(backend.events, "read")
    counting(backend.events, "latest")
    await app.queue("mail").add("send")

    async def cost(streams: int) -> dict[str, int]:
        """Return what is asked while so many listen, from the first tick to the twelfth."""
        async with serve(app, ServerOptions(tick_s=0.05)) as served, AsyncExitStack() as stack:
            for name in asked:
                asked[name] = 0
            url = f"{served.url}/api/v1/stream?topics=overview,queue:mail"
            lines = []  # kept: one that nobody holds closes its stream
            for _ in range(streams):
                answer = await stack.enter_async_context(served.http.stream("GET", url))
                lines.append(answer.aiter_lines())
                await anext(lines[-1])
            await wait_until(lambda: served.interface.live.open == streams)
            await wait_until(lambda: asked["queues"] >= 12)
            return dict(asked)

    one, fifty = await cost(1), await cost(50)

    assert one["read"] == fifty["read"] == 1
    assert one["latest"] == fifty["latest"] == 1


async def test_nobody_listens_and_nothing_is_asked(
    app: App, served: Served, client: AsyncClient
) -> None:
    await app.queue("mail").add("send")
    await until(client, lambda one: one.kind == "overview", overview=True)

    live = served.interface.live
    await wait_until(lambda: live.open == 0)

    await wait_until(lambda: not live.sources and not live.follows_figures)


async def test_stream_beyond_the_last_place_is_refused(app: App) -> None:
    async with serve(app, ServerOptions(max_streams=1)) as served:
        url = f"{served.url}/api/v1/stream"
        async with served.http.stream("GET", url) as first:
            lines = first.aiter_lines()  # kept: one that nobody holds closes its stream
            await anext(lines)
            second = await served.ask("GET", "/stream")

    assert second.status_code == 503
    assert second.headers["retry-after"] == "5"
    assert "too many streams" in second.json()["detail"]


async def test_silent_stream_is_kept_open_by_comments(app: App, served: Served) -> None:
    async with served.http.stream("GET", f"{served.url}/api/v1/stream?topics=queue:mail") as answer:
        lines = answer.aiter_lines()
        async with asyncio.timeout(60):
            while await anext(lines) != ": still here":
                pass


async def test_open_streams_end_when_the_server_stops(app: App) -> None:
    async def listen(url: str) -> bool:
        async with httpx2.AsyncClient(timeout=60) as http, http.stream("GET", url) as answer:
            async for _ in answer.aiter_lines():
                pass
        return True

    async with serve(app) as served:
        url = f"{served.url}/api/v1/stream?topics=overview,queue:mail"
        streams = [asyncio.ensure_future(listen(url)) for _ in range(5)]
        await wait_until(lambda: served.interface.live.open == 5)
        async with asyncio.timeout(5):
            await served.server.stop()
        assert await asyncio.gather(*streams) == [True] * 5


@pytest.mark.parametrize(
    ("topics", "sentence"),
    [
        ("queue:", "expected overview, workers, store or queue:NAME"),
        ("everything", "expected overview, workers, store or queue:NAME"),
        ("", "expected overview, workers, store or queue:NAME"),
        (",".join(f"queue:q{n}" for n in range(21)), "21 queues; at most 20"),
        ("queue:a:b", "without ':'"),
    ],
)
async def test_topic_that_is_none_is_refused(served: Served, topics: str, sentence: str) -> None:
    answer = await served.ask("GET", "/stream", params={"topics": topics})

    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


async def test_client_raises_what_a_stream_is_refused_with(client: AsyncClient) -> None:
    with pytest.raises(ApiError, match="expected overview"):
        await until(client, lambda _: True, queues=[""])


async def test_listener_that_is_too_slow_is_let_go() -> None:
    listener = Listener()
    for n in range(MOST_BEHIND + 5):
        listener.tell("events", n)

    told = [await listener.next(1.0) for _ in range(MOST_BEHIND)]

    assert told == [("events", n) for n in range(MOST_BEHIND)]
    assert await listener.next(1.0) is None


async def test_source_goes_on_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from toril import BackendError
    from toril.web import sources

    monkeypatch.setattr(sources, "AGAIN_S", 0.0)
    tries = 0

    async def follow(source: Source) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise BackendError("the store is away")
        source.tell("events", tries)
        await asyncio.Event().wait()

    source, listener = Source(follow), Listener()
    source.add(listener)
    try:
        told = [await listener.next(5.0) for _ in range(3)]
    finally:
        await source.remove(listener)

    assert told == [("away", "the store is away")] * 2 + [("events", 3)]
