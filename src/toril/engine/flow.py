"""The records of flows: a parent waits for its children, which may have children of their own.

Words and rules are BullMQ's (spec, section 3.11).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from toril.engine.states import State

OnFailure = Literal["wait", "fail_parent", "continue", "ignore", "remove"]
"""What a parent does once a child has failed for good. `wait`: it waits until somebody retries or
removes the child. `fail_parent`: it fails too, at once. `continue`: it runs at once, whatever its
other children do. `ignore`: the failure counts as done and is noted. `remove`: it counts as
done."""

Fate = Literal["pending", "completed", "failed", "ignored"]
"""What a parent knows of a child. `pending`: it waits for it. `failed`: its failure fails the
parent. `ignored`: it has failed, and the parent goes on all the same."""

FLAGS: dict[OnFailure, str] = {
    "fail_parent": "fpof",
    "continue": "cpof",
    "ignore": "idof",
    "remove": "rdof",
}
"""BullMQ's short names. `wait` has none."""

FAILED_WITH_CHILD = "child {} failed"
"""Why a parent fails with a child. Part of the stored format (spec, section 5.6)."""
CHILDREN_PENDING = "job has children that have not finished"
"""Why a parent fails that returns before its children have ended."""


class ParentRef(msgspec.Struct, frozen=True, array_like=True):
    """A child's parent."""

    queue: str
    job_id: str
    on_failure: OnFailure = "wait"

    def is_same(self, other: ParentRef) -> bool:
        """Whether it is the same parent, whatever happens on a failure."""
        return (self.queue, self.job_id) == (other.queue, other.job_id)


class ChildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One child, as its parent knows it and as it is now."""

    key: str
    """BullMQ's key of the child, by which results and failures are named."""
    queue: str
    job_id: str
    fate: Fate
    value: str | None = None
    """`completed`: its result (JSON text). `ignored`: why it failed."""
    name: str | None = None
    """None: the job is gone."""
    state: State | None = None
    """None: the job is gone, or was not looked at."""
    failed_reason: str | None = None
    """Of one that is in `failed`."""
    is_parent: bool = False
    """Whether it has children of its own."""


class ChildPage(msgspec.Struct, frozen=True):
    """Some children of one parent."""

    children: list[ChildRecord]
    next: str | None
    """Give it as `after`. None: these were the last."""
