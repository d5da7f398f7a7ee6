"""Finds flows that can never finish, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.lifecycle import Finding
from toril.engine.flow import ChildRecord
from toril.engine.states import READY, State

PAGE = 200
"""Jobs in one call of the store."""
SHOWN = 20
"""Most findings of one check."""

StuckReason = Literal["child_failed", "child_gone", "no_worker", "nothing_pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckFlow:
    """A parent that waits for what will not come."""

    queue: str
    job_id: str
    name: str
    reason: StuckReason
    """`child_failed`: for good, and nobody retries it by itself. `child_gone`: it was removed.
    `no_worker`: no worker serves its queue. `nothing_pending`: it waits for no child any more."""
    child_queue: str | None
    child_id: str | None
    """The child that it waits for in vain, or the first of several."""
    children: int
    """How many children it waits for in vain, of those that were looked at."""
    text: str
    """What is wrong and what to do, in one sentence."""


async def queue_records(backend: Backend, named: Sequence[str]) -> list[QueueRecord]:
    """Return the listed queues, and those that are named though they are not listed."""
    records = {record.name: record for record in await backend.counts.queues()}
    for name in named:
        if name not in records and (record := await backend.counts.queue(name)) is not None:
            records[name] = record
    return list(records.values())


async def find_stuck(
    backend: Backend, *, queues: list[str] | None = None, limit: int = 1000
) -> list[StuckFlow]:
    """Return the parents that wait in vain. Looks at up to `limit` parents.

    A parent whose child is itself a parent that waits in vain is not named: the child is.
    """
    served = await backend.flows.served()
    paused: set[str] = set()
    waiting: list[str] = []
    for record in await queue_records(backend, queues or ()):
        if record.paused:
            paused.add(record.name)
        if record.counts[State.WAITING_CHILDREN] and (queues is None or record.name in queues):
            waiting.append(record.name)
    found: list[StuckFlow] = []
    looked = 0
    for queue in waiting:
        after: str | None = None
        while looked < limit:
            page = await backend.jobs.page(
                JobFilter(
                    queue=queue,
                    states=(State.WAITING_CHILDREN,),
                    limit=min(PAGE, limit - looked),
                    after=after,
                )
            )
            for job in page.jobs:
                stuck = await _judge(backend, queue, job.id, job.name, served | paused)
                if stuck is not None:
                    found.append(stuck)
            looked += len(page.jobs)
            after = page.next
            if after is None:
                break
    return found


async def _judge(
    backend: Backend, queue: str, job_id: str, name: str, served: set[str]
) -> StuckFlow | None:
    """Look at the first children that one parent waits for."""
    page = await backend.flows.children(queue, job_id, limit=PAGE)
    children = [child for child in page.children if child.fate == "pending"]
    in_vain: list[tuple[StuckReason, ChildRecord, str]] = []
    for child in children:
        told = _why(child, served)
        if told is not None:
            in_vain.append((told[0], child, told[1]))
    if in_vain:
        reason, first, why = in_vain[0]
        more = f", and {len(in_vain) - 1} more" if len(in_vain) > 1 else ""
        text = f"waits for {first.job_id} of queue {first.queue}{more}: {why}"
        return StuckFlow(
            queue=queue, job_id=job_id, name=name, reason=reason, child_queue=first.queue,
            child_id=first.job_id, children=len(in_vain), text=text,
        )  # fmt: skip
    if children or (await backend.flows.outline(queue, job_id)).get("pending"):
        return None
    record = await backend.jobs.get(queue, job_id)
    if record is None or record.state is not State.WAITING_CHILDREN:
        return None  # it has just gone on
    return StuckFlow(
        queue=queue, job_id=job_id, name=name, reason="nothing_pending", child_queue=None,
        child_id=None, children=0,
        text="waits for no child any more, and nothing will let it go on: cancel it, then retry it",
    )  # fmt: skip


def _why(child: ChildRecord, served: set[str]) -> tuple[StuckReason, str] | None:
    """Return why a child will not end, and what to do."""
    if child.name is None:
        return "child_gone", (
            "it was removed, and its parent was not told. Cancel the parent, then retry it"
        )
    if child.state is State.FAILED:
        reason = child.failed_reason or "no reason given"
        return "child_failed", (
            f"it has failed for good ({reason}), and nobody retries it by itself. Retry or remove"
            " it, or give such children an on_failure"
        )
    if child.state in (*READY, State.DELAYED) and child.queue not in served:
        return "no_worker", f"no worker serves its queue. Start one with --queues {child.queue}"
    return None


async def flow_findings(backend: Backend) -> list[Finding]:
    """Return what `doctor` has to say of flows; nothing where there are none."""
    stuck = await find_stuck(backend)
    found = [
        Finding(f"flow {one.queue} {one.job_id}", "warning", f"{one.name} {one.text}")
        for one in stuck[:SHOWN]
    ]
    if len(stuck) > SHOWN:
        text = f"{len(stuck) - SHOWN} more can never finish; `toril flows list --stuck` names them"
        found.append(Finding("flows", "warning", text))
    return found
