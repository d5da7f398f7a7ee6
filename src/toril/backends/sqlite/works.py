"""Pieces of work for the writer, and how their results reach the waiting callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from toril.backends.sqlite.transaction import Transaction


class Work:
    """One piece of work: a transition, and who waits for its result.

    A transition may be run again after a rollback, so it keeps nothing between runs. A `TorilError`
    from it means that it has written nothing.
    """

    __slots__ = ("durable", "error", "future", "loop", "result", "transition")

    def __init__(
        self,
        transition: Callable[[Transaction], Any],
        durable: bool,
        future: asyncio.Future[Any] | Future[Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.transition = transition
        self.durable = durable
        self.future = future
        self.loop = loop
        self.result: Any = None
        self.error: BaseException | None = None


def deliver(group: list[Work]) -> None:
    """Hand results to those who wait: one wake-up for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Work]] = {}
    for work in group:
        if work.loop is not None:
            loops.setdefault(work.loop, []).append(work)
        elif work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
    for loop, works in loops.items():
        try:
            loop.call_soon_threadsafe(set_results, works)
        except RuntimeError:  # that loop was closed; nobody is left to tell
            continue


def set_results(works: list[Work]) -> None:
    """Hand results to those who wait. On the thread of their event loop."""
    for work in works:
        if work.future.done():
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
