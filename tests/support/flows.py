"""Short words for tests that add flows by the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.contract import HandWorker, job, outcome

from toril.engine.contract import Backend, NewNode
from toril.engine.flow import FLAGS, ChildRecord, OnFailure, ParentRef
from toril.engine.job import Added, Claimed

PARENTS, KIDS = "parents", "kids"


@dataclass
class Tree:
    """A node with what is below it."""

    id: str
    queue: str = KIDS
    children: Sequence[Tree] = ()
    on_failure: OnFailure = "wait"
    fields: dict[str, Any] = field(default_factory=dict)


def nodes(tree: Tree, parent: ParentRef | None = None) -> list[NewNode]:
    """Return the nodes of a tree, each before its children."""
    flag = FLAGS.get(tree.on_failure)
    opts = "{}" if flag is None else f'{{"{flag}":true}}'
    new = job(tree.queue, job_id=tree.id, **{"opts": opts, **tree.fields})
    found = [NewNode(job=new, parent=parent, waits=bool(tree.children))]
    for child in tree.children:
        found += nodes(child, ParentRef(tree.queue, tree.id, child.on_failure))
    return found


def parent(*children: Tree, id: str = "P", **fields: Any) -> Tree:
    """Return a tree of one level."""
    return Tree(id, PARENTS, children, fields=fields)


async def plant(backend: Backend, *trees: Tree) -> list[Added]:
    """Add trees in one call."""
    return await backend.flows.add([node for tree in trees for node in nodes(tree)])


async def fates(backend: Backend, job_id: str = "P", queue: str = PARENTS) -> dict[str, str]:
    """Return what a parent knows of its children: id to fate."""
    return {child.job_id: child.fate for child in await children(backend, job_id, queue)}


async def children(
    backend: Backend, job_id: str = "P", queue: str = PARENTS, *, limit: int = 100
) -> list[ChildRecord]:
    """Return all children of a parent."""
    found: dict[str, ChildRecord] = {}
    after: str | None = None
    while True:
        page = await backend.flows.children(queue, job_id, limit=limit, after=after)
        found |= {child.key: child for child in page.children}
        if page.next is None:
            return list(found.values())
        after = page.next


async def finish(worker: HandWorker, job_id: str, queue: str = KIDS, value: str = "1") -> None:
    """Take a job, which is the next one of its queue, and complete it."""
    claimed = await take(worker, job_id, queue)
    assert await worker.end(claimed, "completed", value=value) == "ok"


async def fail(worker: HandWorker, job_id: str, queue: str = KIDS, reason: str = "broke") -> None:
    """Take a job, which is the next one of its queue, and fail it for good."""
    claimed = await take(worker, job_id, queue)
    assert await worker.end(claimed, "failed", reason=reason) == "ok"


async def take(worker: HandWorker, job_id: str, queue: str) -> Claimed:
    """Take a job, which has to be the next one of its queue."""
    claimed = await worker.claim_one(queue)
    assert claimed.id == job_id
    return claimed


__all__ = [
    "KIDS", "PARENTS", "Tree", "children", "fail", "fates", "finish", "nodes", "outcome", "parent",
    "plant", "take",
]  # fmt: skip
