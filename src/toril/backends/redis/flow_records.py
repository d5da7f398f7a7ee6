"""What the hashes and scripts of flows say, in the engine's words. Never raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toril.core.reading import read_object
from toril.engine.flow import FLAGS, ChildRecord, OnFailure, ParentRef
from toril.engine.states import State

_FATES: dict[str, Any] = {
    "dependencies": "pending",
    "processed": "completed",
    "failed": "ignored",
    "unsuccessful": "failed",
}
"""By the key of the parent's that names a child."""


def parent(text: str) -> ParentRef | None:
    """Return the parent that a job's field `parent` names, or None."""
    said = read_object(text)
    job_id, base = said.get("id"), said.get("queueKey")
    if not isinstance(job_id, str) or not isinstance(base, str):
        return None
    policy: OnFailure = "wait"
    for known, flag in FLAGS.items():
        if said.get(flag):
            policy = known
            break
    return ParentRef(base.rpartition(":")[2], job_id, policy)


def child(row: Sequence[Any]) -> ChildRecord:
    """Return a child from a row of `children.lua`."""
    key, part, value, name, state, reason, is_parent = row
    fate = _FATES[part]
    queue, job_id = split(key)
    return ChildRecord(
        key=key,
        queue=queue,
        job_id=job_id,
        fate=fate,
        value=value if fate in ("completed", "ignored") else None,
        name=name,
        state=None if state is None else State(state),
        failed_reason=value if fate == "ignored" else reason,
        is_parent=is_parent == 1,
    )


def split(key: str) -> tuple[str, str]:
    """Return the queue and the id of a job's key."""
    base, _, job_id = key.rpartition(":")
    return base.rpartition(":")[2], job_id
