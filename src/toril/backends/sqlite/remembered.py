"""Caches the rows of queues and the counters between the transactions of one writer.

Every transaction needs them, and mostly the one before has just written them. The writer reads them
again only after another connection has committed, or after a transaction has failed.
"""

from __future__ import annotations

import apsw

from toril.backends.sqlite.queue_row import QueueRow

MOST_QUEUES = 1_000
"""Queues that are remembered: each takes about 2 KiB."""


class Remembered:
    """Rows of the file as they were after the last commit of one connection."""

    __slots__ = ("_version", "counters", "queues", "task_names")

    def __init__(self) -> None:
        self._version: int | None = None
        self.queues: dict[str, QueueRow] = {}
        self.counters: tuple[int, int] | None = None
        """The last job number and the last place in line."""
        self.task_names: dict[int, set[str]] = {}
        """By queue: names that the history tells apart. Of this process, not of the file."""

    def begin(self, connection: apsw.Connection) -> None:
        """Forget all if it may be out of date. Within the transaction, before anything else."""
        # Unlike the pragma of that name this number also grows with the connection's own commits,
        # so it is the same only if there was no commit at all since `committed`.
        if self._version is None or connection.data_version() != self._version:
            self.queues.clear()
            self.counters = None
        elif len(self.queues) > MOST_QUEUES:
            self.queues.clear()
        # Until the commit: a transaction that fails leaves what was changed and never written.
        self._version = None

    def committed(self, connection: apsw.Connection) -> None:
        """Keep what was gathered: it is what the file holds."""
        self._version = connection.data_version()
