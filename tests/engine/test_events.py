"""What a queue tells, by name: set, shown, followed."""

from __future__ import annotations

from typing import Any

import pytest

from toril import InvalidOptionError, KeepPolicy, RateLimit
from toril.engine.events import ORDINARY, EventName, EventsTold, untold
from toril.testing import MemoryApp


async def life(app: MemoryApp, told: EventsTold) -> list[str]:
    """Return what a queue that is set so tells of one job."""

    @app.task(queue="paint")
    async def paint() -> None: ...

    queue = app.queue("paint")
    await queue.set_events(told)
    await paint.enqueue()
    await queue.pause()
    await queue.resume()
    await app.run_until_idle()
    info = await queue.info()
    assert info is not None
    assert (info.events, info.completed) == (told, 1)
    return [event.name async for event in queue.events(after=0, until_idle=True)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("all", ["added", "waiting", "paused", "resumed", "active", "completed", "drained"]),
        ("outcomes", ["paused", "resumed", "completed"]),
        ("none", []),
    ],
)
async def test_queue_tells_what_it_was_told_to(
    toril_app: MemoryApp, told: EventsTold, expected: list[str]
) -> None:
    assert await life(toril_app, told) == expected


@pytest.mark.parametrize("nonsense", ["some", "", None, "All", 1, ["all"], True])
async def test_other_words_are_refused(toril_app: MemoryApp, nonsense: Any) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        await toril_app.queue("paint").set_events(nonsense)

    assert str(caught.value) == f"told={nonsense!r}: expected 'all', 'outcomes' or 'none'"
    assert await toril_app.queues() == []


async def test_other_settings_of_the_queue_stay(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("paint")
    await queue.set_concurrency(4)
    await queue.set_rate(RateLimit(limit=9, window_s=60))
    await queue.set_events("outcomes")
    await queue.set_concurrency(5)

    info = await queue.info()
    assert info is not None
    assert (info.concurrency, info.rate_limit, info.events) == (5, 9, "outcomes")


async def test_hooks_are_told_whatever_the_queue_tells(toril_app: MemoryApp) -> None:
    seen: list[str] = []

    @toril_app.task(queue="paint", keep_completed=KeepPolicy(count=0))
    async def paint(colour: str) -> str:
        return colour

    @toril_app.on("completed")
    def note(event: Any) -> None:
        seen.append(event.result)

    await toril_app.queue("paint").set_events("none")
    await paint.enqueue(colour="red")
    await toril_app.run_until_idle()

    assert seen == ['"red"']


def test_what_is_left_out_is_the_ordinary_life_or_everything() -> None:
    assert untold("all") == frozenset()
    assert untold("outcomes") == ORDINARY
    assert ORDINARY == {
        "added", "waiting", "delayed", "waiting-children", "active", "drained",
    }  # fmt: skip
    assert untold("none") == set(EventName)
