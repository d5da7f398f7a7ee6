"""What users see of operations on many jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from toril.core.clock import moment, moment_or_none
from toril.engine.bulk.wish import Action, Wish
from toril.engine.contract.operations import OperationRecord, OperationState, Step
from toril.engine.info import JobInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationInfo:
    """An operation on many jobs at the moment of the query."""

    id: str
    action: Action
    query: str | None
    """The search that finds its jobs. None: they were named by id."""
    queues: list[str]
    """Where its jobs are."""
    arguments: dict[str, str | float | bool]
    """What else it was told, such as the queue that jobs move to."""
    actor: str
    """Who began it; see `acting`."""
    reason: str | None
    state: OperationState
    """`running`, `done`, `cancelled`, `failed`, or `undone`: its jobs were put back."""
    driven: bool
    """A process drives it now. A running one that is not driven waits for a worker to do so."""
    created_at: datetime
    ended_at: datetime | None
    done: int
    """Jobs that it has changed."""
    refused: int
    """Jobs that were no longer as they were found, or may not be changed so."""
    looked_at: int
    at_most: int
    """How many jobs there were to look at when it began."""
    note: str
    """`failed`: why."""
    undo_until: datetime | None
    """Until when the first of the removed jobs are kept, if they can be put back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPreview:
    """What an operation would do."""

    action: Action
    query: str
    """The search, with the states that are meant."""
    count: int
    """Jobs that it would change."""
    exact: bool
    """False: there are at least so many; the time was used up."""
    at_most: int
    """Jobs that there are to look at."""
    samples: list[JobInfo]
    """The first ten of the jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationUndone:
    """What undoing a removal has done."""

    restored: int
    taken: int
    """Jobs whose id another job has by now; they stay gone."""


def wish_of(record: OperationRecord) -> Wish:
    """Return what an operation is to do."""
    return msgspec.json.decode(record.body, type=Wish)


def operation_info(record: OperationRecord, wish: Wish, steps: Sequence[Step]) -> OperationInfo:
    """Return a stored operation as Python values."""
    arguments: dict[str, str | float | bool] = {}
    if wish.action == "retry":
        arguments["reset_attempts"] = wish.reset_attempts
    if wish.cancel_reason:
        arguments["reason"] = wish.cancel_reason
    if wish.target:
        arguments["to"] = wish.target
    if wish.max_per_s is not None:
        arguments["max_per_s"] = wish.max_per_s
    created_at = moment(record.created_ms)
    kept = wish.keep_ms > 0 and record.state != "undone"
    return OperationInfo(
        id=record.id,
        action=wish.action,
        query=wish.asked,
        queues=list(wish.queues),
        arguments=arguments,
        actor=wish.actor,
        reason=wish.reason,
        state=record.state,
        driven=record.driven,
        created_at=created_at,
        ended_at=moment_or_none(record.ended_ms),
        done=sum(step.done for step in steps),
        refused=sum(step.refused for step in steps),
        looked_at=sum(step.looked_at for step in steps),
        at_most=wish.at_most,
        note=record.note,
        undo_until=created_at + timedelta(milliseconds=wish.keep_ms) if kept else None,
    )
