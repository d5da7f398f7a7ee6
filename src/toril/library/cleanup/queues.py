"""Which queues are cleaned of finished jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from toril.engine.operator import Operator
from toril.services.unusable import UnusableInputError, named


class HasQueues(Protocol):
    """What is needed of an app."""

    def queue(self, name: str) -> Operator:
        """Return the handle of a queue."""
        ...


class CleanedQueues:
    """The queues that an app lets be cleaned: `app.provide(CleanedQueues(app, ["mail"]))`."""

    def __init__(self, app: HasQueues, names: Iterable[str]) -> None:
        self._app = app
        self.names = tuple(names)

    def chosen(self, queue: str | None) -> list[Operator]:
        """Return the handles of one queue, or of all.

        Raises:
            UnusableInputError: It is none of these.
        """
        if queue is not None and queue not in self.names:
            known = ", ".join(self.names) or "none"
            raise UnusableInputError(named("queue", queue), f"expected one of: {known}")
        return [self._app.queue(name) for name in self.names if queue in (None, name)]
