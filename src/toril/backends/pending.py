"""Jobs that producers add in one turn of an event loop, and that travel to the store together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from toril.engine.job import Added, NewJob


class Pending(NamedTuple):
    """Jobs that were added in this turn, and who waits for them."""

    jobs: list[NewJob]
    futures: list[asyncio.Future[Added]]

    def succeed(self, answers: Sequence[Added]) -> None:
        """Hand each his answer."""
        for future, answer in zip(self.futures, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Hand each the error."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
