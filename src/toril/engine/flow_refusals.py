"""What a store says that refuses a flow: which job, why, and the way out."""

from __future__ import annotations

from collections.abc import Sequence

from toril.core.errors import InvalidOptionError, JobError, WrongStateError


def has_parent(queue: str, job_id: str, other_queue: str, other_id: str) -> JobError:
    """Return the refusal of a child that another parent waits for."""
    return _wrong(
        queue,
        job_id,
        f"is the child of job {other_id!r} of queue {other_queue!r}, which is still there: a job"
        " has one parent. Give the new child an id of its own",
    )


def is_above(queue: str, job_id: str, other_queue: str, other_id: str) -> JobError:
    """Return the refusal of a child that is above its parent already."""
    return _wrong(
        queue,
        job_id,
        f"cannot be a child of job {other_id!r} of queue {other_queue!r}: it is above that one"
        " already, and each would wait for the other. Give the new child an id of its own",
    )


def is_there(queue: str, job_id: str) -> JobError:
    """Return the refusal of a node with children whose id is taken."""
    return _wrong(
        queue,
        job_id,
        "is there already, so it cannot be added with children. Give the node an id of its own, or"
        " add the children to the job that is there",
    )


def parent_finished(queue: str, job_id: str, state: str) -> JobError:
    """Return the refusal of a child for a parent that has ended."""
    return _wrong(
        queue, job_id, f"is {state}, so no child can be added to it. Retry it first, or add a flow"
    )


def claim_lost(queue: str, job_id: str) -> JobError:
    """Return the refusal of a child that an attempt adds which does not hold its job any more."""
    return _wrong(
        queue, job_id, "is not held by this attempt any more, so it adds no children in its name"
    )


def apart(queues: Sequence[str]) -> InvalidOptionError:
    """Return the refusal of a flow whose queues one transaction does not reach."""
    return InvalidOptionError(
        f"queues={list(queues)!r}: a flow cannot span them: in a Redis Cluster one transaction"
        " reaches one slot only. Give the names of all its queues the same part in braces, such as"
        " '{shop}orders' and '{shop}mail', or put braces around the prefix, as in ?prefix={jobs}"
    )


def no_parent(queue: str, job_id: str) -> JobError:
    """Return the refusal to break a tie that is none."""
    return _wrong(queue, job_id, "has no parent that is there, so there is nothing to break")


def held_below(queue: str, job_id: str, other_queue: str, other_id: str) -> JobError:
    """Return the refusal to remove a flow of which a job runs."""
    return _wrong(
        queue,
        job_id,
        f"cannot be removed with what is below it: a worker holds job {other_id!r} of queue"
        f" {other_queue!r}. Cancel the flow first, and remove it when that has ended",
    )


def too_many(queue: str, job_id: str, most: int) -> JobError:
    """Return the refusal to remove more than one call may."""
    return _wrong(
        queue,
        job_id,
        f"has more than {most:,} jobs below it, too many for one call. Remove the flows below it"
        " first, or cancel it and clean its queues",
    )


def _wrong(queue: str, job_id: str, problem: str) -> JobError:
    return WrongStateError(
        f"job {job_id!r} of queue {queue!r} {problem}", job_id=job_id, queue=queue
    )
