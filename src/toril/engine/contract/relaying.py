"""Adds jobs that are relayed from somewhere else: each exactly once, however often it is sent.

An outbox is a table of somebody's database. Its relay adds a job here, and then removes the job's
row there. A relay that dies between the two sends the same job again. Until then, the first one may
have run, finished, and be trimmed; so a job's id does not tell. A mark beside the job does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from toril.engine.job import Added, NewJob

MARK_DAYS = 30
"""Days after which the store drops a mark that nobody has dropped: its relay died in between."""


class MarkedJob(msgspec.Struct, frozen=True, gc=False):
    """A job, and what tells it from every other one that is relayed."""

    mark: str
    """At most 64 characters: which row it comes from."""
    job: NewJob


class Relaying(Protocol):
    """Adds the jobs of outboxes."""

    async def add(
        self, queue: str, jobs: Sequence[MarkedJob], *, forget: Sequence[str]
    ) -> list[Added]:
        """Add jobs to one queue, unless their marks are there already. Note the marks.

        All of it is one transition. A job whose mark is there is answered as a duplicate, whatever
        became of the first one; no event is emitted. Any other job is treated as by `Jobs.add`, and
        its mark is noted even if it is a duplicate.

        Parameters:
            queue: To which all of them go.
            jobs: The jobs, in order. None: only forget marks.
            forget: Marks to drop: their rows are gone, so nobody sends them again.
        """
        ...
