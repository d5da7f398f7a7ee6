"""Looks through the jobs of a queue, state by state, in short calls."""

from __future__ import annotations

from typing import Protocol

import msgspec

from toril.engine.job import JobRecord
from toril.engine.states import State


class Scan(msgspec.Struct, kw_only=True, frozen=True):
    """A look at the next jobs of one state of a queue.

    The store sorts out jobs that cannot be meant, by texts that have to be there: in lower case,
    and of characters that JSON never escapes. It may return too many jobs, never too few.
    """

    queue: str
    state: State
    after: str | None = None
    """`Scanned.next` of the look before. None: the first look."""
    newest_first: bool = False
    limit: int
    """How many jobs to look at, from 1."""
    max_bytes: int
    """Stop once so many bytes of payloads were looked at."""
    max_payload_bytes: int | None = None
    """Pass over jobs with a larger payload. None: over none."""
    name: str | None = None
    """Text in the name. None: any name will do. The same for the others."""
    data: str | None = None
    error: str | None = None
    """Text in the reason of a failure."""
    text: str | None = None
    """Text in the id, the name, the payload or the reason."""
    since_ms: int | None = None
    """`completed`, `failed`: only jobs that ended then or later. The caller leaves it out for other
    states."""
    until_ms: int | None = None
    """Likewise: then or before."""
    whole: bool = True
    """False: only ids are wanted."""


class Scanned(msgspec.Struct, frozen=True):
    """What one look has found."""

    ids: list[str]
    jobs: list[JobRecord]
    """The same jobs. Empty if only ids were wanted."""
    places: list[int]
    """For each of them, how many jobs the look had come to by then, from 1."""
    looked_at: int
    passed_over: int
    """How many of these have too large a payload."""
    next: str | None
    """Where to go on. None: the state was looked through."""
    again: bool = False
    """The place was lost, as all jobs just before it are gone: this look begins at the first job,
    so that none is missed."""


class Search(Protocol):
    """Looks at jobs one by one, without holding the store for long."""

    async def scan(self, wanted: Scan) -> Scanned:
        """Return the jobs that may be meant among the next jobs of a state.

        Cost: one call that reads up to `limit` jobs and about `max_bytes` bytes, or one job. A job
        that stays in its state is never missed. A queue that does not exist has no jobs.

        Raises:
            InvalidOptionError: `after` is not the `next` of a look like this one.
        """
        ...
