"""Operations on many jobs that outlive the process which began them.

A store keeps what an operation is to do (text, which it does not read), who drives it, and for each
queue how far it has come. A step changes jobs and notes the new place in one transition, so that an
operation which is killed in the middle goes on elsewhere, and does no job twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from toril.engine.states import State

OperationState = Literal["running", "done", "cancelled", "failed", "undone"]
ActVerb = Literal["retry", "promote", "cancel", "remove", "move"]


class OperationRecord(msgspec.Struct, kw_only=True, frozen=True):
    """An operation as it is stored."""

    id: str
    body: str
    """What it is to do."""
    created_ms: int
    state: OperationState = "running"
    wanted: Literal["", "cancel"] = ""
    """`cancel`: somebody wants it to end."""
    note: str = ""
    """What was noted at its end."""
    ended_ms: int | None = None
    driven: bool = False
    """A process drives it now."""


class Step(msgspec.Struct, kw_only=True, frozen=True):
    """How far an operation has come in one queue."""

    version: int = 0
    """Steps so far."""
    place: str = ""
    """Where it goes on: text of the engine's. Empty: at the start."""
    done: int = 0
    refused: int = 0
    """Jobs that were no longer as they were found, or may not be changed so."""
    looked_at: int = 0


class Act(msgspec.Struct, kw_only=True, frozen=True):
    """What a step does to some jobs of one state. Those that are not in it any more are refused."""

    verb: ActVerb
    state: State
    ids: Sequence[str]
    ended_until_ms: int | None = None
    """`retry`: only jobs that ended then or before."""
    reset_attempts: bool = True
    """`retry`: count attempts anew."""
    reason: str = ""
    """`cancel`: kept with the job."""
    target: str = ""
    """`move`: the queue that the jobs go to. The caller has asked `together`."""
    keep_ms: int = 0
    """`remove`: keep the jobs whole aside for so long, for `restore`. 0: they are gone."""


class Restored(msgspec.Struct, frozen=True):
    """What one call of `restore` did."""

    restored: int
    taken: int
    """Jobs whose id another job has by now; they stay gone."""
    more: bool
    """There may be more: call again."""


class OperationStore(Protocol):
    """Operations and their steps.

    An operation is forgotten a week after it began. Jobs that were removed are kept aside for as
    long as the step said.
    """

    async def add(self, operation_id: str, body: str) -> None:
        """Store a new operation. The caller gives an id that no other has."""
        ...

    async def get(self, operation_id: str) -> OperationRecord | None:
        """Return an operation. None: there is none, or it was forgotten."""
        ...

    async def newest(self, *, limit: int) -> list[OperationRecord]:
        """Return the newest operations, newest first."""
        ...

    async def take(
        self, operation_id: str, holder: str, *, lease_ms: int
    ) -> OperationRecord | None:
        """Drive an operation for so long, or go on doing so. None: it has ended, or another does.

        Parameters:
            operation_id: Which.
            holder: Who asks; a text that no other process gives.
            lease_ms: After so long another may take it.
        """
        ...

    async def end(self, operation_id: str, holder: str, state: OperationState, note: str) -> bool:
        """Note that an operation has ended; return whether this holder still drove it."""
        ...

    async def want_cancelled(self, operation_id: str) -> bool:
        """Ask whoever drives an operation to end it. Return whether it was still running."""
        ...

    async def mark_undone(self, operation_id: str, note: str) -> None:
        """Note that the removals of an operation that had ended were undone."""
        ...

    async def steps(self, operation_id: str, queues: Sequence[str]) -> list[Step]:
        """Return how far an operation has come in queues, in the order given."""
        ...

    async def step(
        self,
        operation_id: str,
        queue: str,
        *,
        after: int,
        place: str,
        looked_at: int,
        act: Act | None,
    ) -> Step | None:
        """Change jobs, and note how far the operation has come, in one transition.

        Jobs go through what the verb of `Jobs` or `Moving` does to one, with its events; `move` is
        for jobs of no flow, which keep their ids unless they are taken there: then they get the
        next number of the queue. The next jobs of schedules are refused, and so are jobs that a
        worker holds, but for `cancel`.

        Parameters:
            operation_id: Which.
            queue: Whose jobs.
            after: `Step.version` of the step before.
            place: Where the operation goes on from here.
            looked_at: How many jobs were looked at since the step before.
            act: What to do. None: only to note the place.

        Returns:
            How far it has come. None: another step was made after that one; nothing was changed.
        """
        ...

    async def restore(self, operation_id: str, queue: str, *, limit: int) -> Restored:
        """Put jobs that an operation has removed back where they were, up to `limit`, oldest first.

        Jobs in line go to its end. A parent that was told that its child is gone does not wait for
        it again.
        """
        ...
