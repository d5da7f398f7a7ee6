"""Jobs that producers add in one turn of an event loop, and that travel to the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from toril.engine.job import Added, NewJob


class Pending(NamedTuple):
    """Jobs that were added in this turn, and who waits for them."""

    jobs: list[NewJob]
    futures: list[asyncio.Future[Added]]

    def succeed(self, answers: Sequence[Added | Exception]) -> None:
        """Hand each his answer."""
        self._answer(answers, 0, len(answers))

    def succeed_by_turns(
        self, answers: Sequence[Added | Exception], *, together: int, first: int = 0
    ) -> None:
        """Hand each his answer, `together` in each second turn of the event loop.

        So what the first ones add next is on its way, and worked on, while the others go on.
        """
        self._answer(answers, first, first + together)
        if first + together < len(answers):
            loop = asyncio.get_running_loop()
            more = partial(
                self.succeed_by_turns, answers, together=together, first=first + together
            )
            loop.call_soon(loop.call_soon, more)  # in the turn between what was added is sent

    def _answer(self, answers: Sequence[Added | Exception], first: int, end: int) -> None:
        for future, answer in zip(self.futures[first:end], answers[first:end], strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Hand each the error."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
