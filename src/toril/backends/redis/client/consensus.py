"""Asks several servers the same question at once, and takes the answer of the best informed.

After a failover they disagree: a server on the small side of a partition does not know of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from toril.core.errors import TorilError

T = TypeVar("T")


class Answer(NamedTuple, Generic[T]):
    """One server's answer."""

    rank: tuple[int, ...]
    """How well informed the server is. The largest wins."""
    value: T
    """What it said."""


class Consensus(NamedTuple, Generic[T]):
    """What several servers said."""

    best: Answer[T] | None
    """The answer with the largest rank. None: there is no answer."""
    errors: list[TorilError]
    """The errors of those that could not be asked."""
    silent: list[int]
    """The positions of those that did not answer in time. Empty if there were enough answers."""


async def ask_at_once(
    asks: Sequence[Coroutine[Any, Any, Answer[T]]], *, timeout_s: float, enough: int
) -> Consensus[T]:
    """Ask all, and wait until enough have answered, none is left, or the time is up.

    Parameters:
        asks: One for each server. They are cancelled once they are not needed any more.
        timeout_s: Time limit for all of them together, in seconds.
        enough: How many answers are enough.
    """
    asked = [asyncio.ensure_future(one) for one in asks]
    answers: list[Answer[T]] = []
    errors: list[TorilError] = []
    silent: list[int] = []
    try:
        for answer in asyncio.as_completed(asked, timeout=timeout_s):
            try:
                answers.append(await answer)
            except TorilError as error:
                errors.append(error)
            if len(answers) >= enough:
                break
    except TimeoutError:
        silent = [index for index, one in enumerate(asked) if not one.done()]
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    best = max(answers, key=lambda answer: answer.rank, default=None)
    return Consensus(best, errors, silent)
