"""A flow as it is: its nodes with their states and results, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from toril.core.reading import read
from toril.engine.contract import Backend
from toril.engine.flow import ChildRecord, Fate
from toril.engine.states import FINISHED, State

PAGE = 200
"""Children in one call of the store."""


@dataclass(slots=True, kw_only=True)
class FlowNode:
    """One job of a flow as it was when it was looked at, with those below it."""

    queue: str
    id: str
    key: str | None
    """BullMQ's key, by which its parent names it. None: the root."""
    name: str | None
    """None: the job is gone."""
    state: State | None
    """None: the job is gone."""
    fate: Fate | None
    """What its parent knows: `pending`, `completed`, `failed` or `ignored`. None: the root."""
    result: Any = None
    """What its task returned, decoded."""
    failed_reason: str | None = None
    children: list[FlowNode] = field(default_factory=list)
    cut: bool = False
    """It has more children than are here."""

    @property
    def is_done(self) -> bool:
        """Whether it has ended: well, or for good."""
        return self.state in FINISHED or (self.state is None and self.fate != "pending")

    def nodes(self) -> Iterator[FlowNode]:
        """Go through this node and all below it, each before its children."""
        todo = [self]
        while todo:
            node = todo.pop()
            yield node
            todo += reversed(node.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowProgress:
    """How far a flow has come, over all its nodes."""

    total: int
    """Nodes in all, the root included."""
    completed: int
    failed: int
    """Failed for good, whatever their parents make of it."""
    active: int
    """Those that run."""
    waiting: int
    """Those in line or delayed."""
    waiting_children: int
    """Parents that wait."""
    gone: int
    """Removed before they had ended, though their parent waits for them."""
    cut: bool
    """There are more nodes than were looked at."""

    @property
    def share(self) -> float:
        """What part of the nodes has ended, 0 to 1."""
        return (self.completed + self.failed) / self.total


async def read_tree(
    backend: Backend, queue: str, job_id: str, *, max_nodes: int
) -> FlowNode | None:
    """Return a flow from a job down; None if that is gone.

    Parameters:
        backend: The store.
        queue: The job's.
        job_id: The job's.
        max_nodes: Children beyond so many nodes in all are left out; the node says so (`cut`).
    """
    record = await backend.jobs.get(queue, job_id)
    if record is None:
        return None
    root = FlowNode(
        queue=queue,
        id=job_id,
        key=None,
        name=record.name,
        state=record.state,
        fate=None,
        result=None if record.result is None else read(record.result),
        failed_reason=record.failed_reason,
    )
    seen = {(queue, job_id)}
    todo = [root]
    for parent in todo:  # it grows meanwhile: level by level
        after: str | None = None
        found: dict[str, ChildRecord] = {}
        while True:
            room = max_nodes - len(seen) - len(found)
            if room <= 0:
                parent.cut = await _has_more(backend, parent, len(found))
                break
            page = await backend.flows.children(
                parent.queue, parent.id, limit=min(PAGE, room), after=after
            )
            found |= {child.key: child for child in page.children}
            after = page.next
            if after is None:
                break
        for child in found.values():
            node = _node(child)
            parent.children.append(node)
            # A job could be its own grandparent only by damage: it is shown, and not gone into.
            if child.is_parent and (child.queue, child.job_id) not in seen:
                todo.append(node)
            seen.add((child.queue, child.job_id))
    return root


async def _has_more(backend: Backend, parent: FlowNode, known: int) -> bool:
    return sum((await backend.flows.outline(parent.queue, parent.id)).values()) > known


def _node(child: ChildRecord) -> FlowNode:
    return FlowNode(
        queue=child.queue,
        id=child.job_id,
        key=child.key,
        name=child.name,
        state=child.state,
        fate=child.fate,
        result=read(child.value) if child.fate == "completed" and child.value else None,
        failed_reason=child.failed_reason,
    )


def progress_of(root: FlowNode) -> FlowProgress:
    """Return how far a tree has come."""
    counts = {"total": 0, "completed": 0, "failed": 0, "active": 0, "waiting": 0, "gone": 0}
    parents = 0
    cut = False
    for node in root.nodes():
        counts["total"] += 1
        cut = cut or node.cut
        match node.state:
            case State.WAITING_CHILDREN:
                parents += 1
            case State.ACTIVE | State.COMPLETED | State.FAILED:
                counts[str(node.state)] += 1
            case None if node.fate == "completed":
                counts["completed"] += 1
            case None:
                counts["gone" if node.fate == "pending" else "failed"] += 1
            case _:
                counts["waiting"] += 1
    return FlowProgress(**counts, waiting_children=parents, cut=cut)
