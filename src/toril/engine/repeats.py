"""Calls that may be sent twice: the store carries each out once, and answers the same each time.

For a caller that has lost the answer. A store remembers the answers of calls in books; the caller
opens a new book now and then and has the old ones forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from toril.engine.job import Added, NewJob, WholeJob

KEPT_MS = 7 * 24 * 3600 * 1000
"""How long a book is kept that nobody has forgotten."""


class CallId(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Names one call."""

    book: str
    """A text that no other process gives."""
    number: int
    """Of the call in its book, from 1."""


Done = Callable[[Sequence[Added | Exception] | None, BaseException | None], None]
"""Called with the answers, or with the error."""


class Repeats(Protocol):
    """Calls that may be sent twice."""

    def start(self, call: CallId, jobs: Sequence[NewJob], done: Done) -> bool:
        """Send what `add` would, without a task, if an open connection has room for it.

        Returns:
            Whether it was sent. If not, nothing was done: use `add`.
        """
        ...

    async def add(
        self, call: CallId, jobs: Sequence[NewJob], *, sending: Callable[[], None] | None = None
    ) -> Sequence[Added | Exception]:
        """Add jobs; one answer each, an error for one that could not be added.

        Parameters:
            call: Names this call. Of the same call the same jobs have to be given.
            jobs: As for `Jobs.add`.
            sending: Called once the store can be reached, before it is given anything.
        """
        ...

    async def adopt(self, call: CallId, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        """Take over jobs of another store, as `Moving.adopt`."""
        ...

    async def forget(self, book: str) -> None:
        """Forget the answers of a book of this process. No call of it may be sent any more."""
        ...

    async def probe(self) -> None:
        """Return if the store can be written.

        Raises:
            BackendError: It cannot; the message says why.
        """
        ...
