"""Attempts that race: the next one starts when the one before fails, or is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def race(
    attempts: Iterable[Callable[[], Coroutine[Any, Any, T]]],
    *,
    delay_s: float,
    failure: type[Exception],
    drop: Callable[[T], None],
) -> T:
    """Return the result of the first attempt that succeeds. The others are ended.

    Parameters:
        attempts: At least one, in the order in which they start.
        delay_s: How long an attempt is waited for before the next one starts beside it.
        failure: The error of an attempt that failed. Any other one is raised at once.
        drop: Gets rid of the result of an attempt that succeeds too late.

    Raises:
        failure: All failed; it is the first one's.
    """
    running: set[asyncio.Future[T]] = set()
    pending: set[asyncio.Future[T]] = set()
    failures: list[Exception] = []
    rest = iter(attempts)
    try:
        while True:
            attempt = next(rest, None)
            if attempt is not None:
                started = asyncio.ensure_future(attempt())
                running.add(started)
                pending.add(started)
            elif not pending:
                raise failures[0]
            done, pending = await asyncio.wait(
                pending,
                timeout=None if attempt is None else delay_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for ended in done:
                try:
                    result = ended.result()
                except failure as error:
                    failures.append(error)
                else:
                    running.remove(ended)
                    return result
    finally:
        await give_up(running, drop)


async def give_up(attempts: Iterable[asyncio.Future[T]], drop: Callable[[T], None]) -> None:
    """End attempts. Those that have succeeded meanwhile get rid of their results.

    They do so even if this is cancelled before they have ended.
    """

    def ended(attempt: asyncio.Future[T]) -> None:
        if not attempt.cancelled() and attempt.exception() is None:
            drop(attempt.result())

    left = list(attempts)
    for attempt in left:
        if attempt.done():
            ended(attempt)
        else:
            attempt.add_done_callback(ended)
            attempt.cancel()
    await asyncio.gather(*left, return_exceptions=True)
