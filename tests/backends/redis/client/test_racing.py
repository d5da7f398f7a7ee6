"""Attempts that race: one wins, and no result of the others is left open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from toril.backends.redis.client.racing import give_up, race

Attempt = Callable[[], Coroutine[Any, Any, str]]


async def succeed(name: str, started: list[str], gate: asyncio.Event | None = None) -> str:
    started.append(name)
    if gate is not None:
        await gate.wait()
    return name


async def fail(name: str, started: list[str]) -> str:
    started.append(name)
    raise OSError(name)


async def stubborn(gate: asyncio.Event) -> str:
    """Succeed although it was cancelled: the result came at the same moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await gate.wait()
    return "late"


async def run(dropped: list[str], *attempts: Attempt, delay_s: float = 60.0) -> str:
    return await race(attempts, delay_s=delay_s, failure=OSError, drop=dropped.append)


async def test_next_starts_at_once_when_one_fails() -> None:
    started: list[str] = []
    attempts = [partial(fail, "1", started), partial(succeed, "2", started)]

    assert await run([], *attempts, partial(succeed, "3", started)) == "2"
    assert started == ["1", "2"]


async def test_next_starts_beside_one_that_is_slow() -> None:
    started: list[str] = []
    slow = partial(succeed, "1", started, asyncio.Event())

    assert await run([], slow, partial(succeed, "2", started), delay_s=0.01) == "2"
    assert started == ["1", "2"]


async def test_first_error_is_raised_when_all_fail() -> None:
    with pytest.raises(OSError, match=r"^1$"):
        await run([], partial(fail, "1", []), partial(fail, "2", []))


async def test_other_error_is_raised_at_once() -> None:
    started: list[str] = []

    async def broken() -> str:
        raise ValueError("no race")

    with pytest.raises(ValueError, match="no race"):
        await run([], broken, partial(succeed, "2", started))
    assert started == []


async def test_result_that_comes_too_late_is_dropped() -> None:
    dropped: list[str] = []
    gate = asyncio.Event()
    gate.set()

    won = await run(dropped, partial(stubborn, gate), partial(succeed, "2", []), delay_s=0.01)

    assert (won, dropped) == ("2", ["late"])


async def test_result_is_dropped_even_if_giving_up_is_cancelled() -> None:
    """A time-out and the end of the client came together: the socket stayed open."""
    dropped: list[str] = []
    gate = asyncio.Event()
    done = asyncio.get_running_loop().create_future()
    done.set_result("done")
    slow = asyncio.ensure_future(stubborn(gate))
    await asyncio.sleep(0)
    giving_up = asyncio.ensure_future(give_up([done, slow], dropped.append))
    await asyncio.sleep(0)

    giving_up.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await giving_up

    assert dropped == ["done", "late"]
