"""The trees of a flow before they are added: nodes, chains and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, get_args

import msgspec

from toril.core.checks import require
from toril.core.codec import Json, decode, encode_text
from toril.core.errors import InvalidOptionError
from toril.core.ids import new_job_id
from toril.engine.contract.flows import MAX_NODES, NewNode
from toril.engine.flow import FLAGS, OnFailure, ParentRef
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint, payload_text
from toril.engine.options import JobOptions

MAX_TOTAL_BYTES = 16 * 1024 * 1024
"""Largest total of the payloads that one call adds."""

R = TypeVar("R")


class Node(Generic[R]):
    """A job of a flow, with those that it waits for. `Task.node` makes one of a task."""

    __slots__ = ("children", "decode", "job", "on_failure", "store")

    def __init__(
        self: Node[Any],  # what a job returns whose task is not known, nobody knows
        queue: str,
        name: str,
        data: Json = None,
        *,
        options: JobOptions | None = None,
        children: Sequence[Node[Any]] = (),
        on_failure: OnFailure = "wait",
    ) -> None:
        """Make a node of a job that is given by its queue and name.

        Parameters:
            queue: The job's queue.
            name: Its name on the wire.
            data: Its payload. Default: an empty object.
            options: Its options. It may have no de-duplication id.
            children: The nodes that it waits for.
            on_failure: What its parent does once this job has failed for good: `wait` until
                somebody retries or removes it, `fail_parent`, `continue` at once without the other
                children, `ignore` (counts as done, and is noted) or `remove` (counts as done).

        Raises:
            InvalidOptionError: There can be no such job.
            InvalidPayloadError: `data` is not JSON, or too large.
        """
        job = Blueprint(queue, name, options).job(payload_text(name, data))
        self._fill(job, children, on_failure, decode, None)

    @classmethod
    def of(
        cls,
        job: NewJob,
        *,
        children: Sequence[Node[Any]] = (),
        on_failure: OnFailure = "wait",
        decode_result: Callable[[str], Any] = decode,
        store: object = None,
    ) -> Node[R]:
        """Return the node of a job that was checked already.

        Parameters:
            job: The job.
            children: The nodes that it waits for.
            on_failure: As when a node is made.
            decode_result: Reads the job's result.
            store: Where its app has its jobs. None: not known.
        """
        node: Node[R] = cls.__new__(cls)
        node._fill(job, children, on_failure, decode_result, store)
        return node

    def _fill(
        self,
        job: NewJob,
        children: Sequence[Node[Any]],
        on_failure: OnFailure,
        decode_result: Callable[[str], Any],
        store: object,
    ) -> None:
        words = get_args(OnFailure)
        require(on_failure in words, "on_failure", on_failure, f"one of {', '.join(words)}")
        good = not isinstance(children, Node | str) and all(
            isinstance(child, Node) for child in children
        )
        require(good, "children", children, "a list of nodes: task.node(...) or Node(queue, name)")
        if job.deduplication is not None:
            raise InvalidOptionError(
                f"deduplication={job.deduplication.id!r}: job {job.name!r} is of a flow, where"
                " every job is waited for, so it can give way to no other. Give it a job_id instead"
            )
        self.job = job
        """What is added."""
        self.children = tuple(children)
        """The nodes that it waits for."""
        self.on_failure: OnFailure = on_failure
        """What its parent does once it has failed for good."""
        self.decode = decode_result
        """Reads its result."""
        self.store = store
        """Where its task's app has its jobs. None: not known."""

    def __repr__(self) -> str:
        below = f", children={len(self.children)}" if self.children else ""
        return f"Node({self.job.queue!r}, {self.job.name!r}{below})"

    def with_children(self, children: Sequence[Node[Any]]) -> Node[R]:
        """Return this node with more children."""
        return self._but(children=(*self.children, *children))

    def when_failed(self, on_failure: OnFailure) -> Node[R]:
        """Return this node with what its parent does once it has failed for good.

        Parameters:
            on_failure: `wait`, `fail_parent`, `continue`, `ignore` or `remove`.
        """
        return self._but(on_failure=on_failure)

    def _but(
        self,
        children: Sequence[Node[Any]] | None = None,
        on_failure: OnFailure | None = None,
    ) -> Node[R]:
        return Node.of(
            self.job,
            children=self.children if children is None else children,
            on_failure=on_failure or self.on_failure,
            decode_result=self.decode,
            store=self.store,
        )


def chain(*nodes: Node[Any]) -> Node[Any]:
    """Return a tree whose nodes run one after the other, in the order given.

    Each is the only child of the next, which reads its result by `Context.children_results`. A
    failure fails those that come after it, unless a node says otherwise (`Node.when_failed`).

    Raises:
        InvalidOptionError: There is none.
    """
    require(nodes != (), "nodes", nodes, "at least one")
    link, *rest = nodes
    for node in rest:
        before = link if link.on_failure != "wait" else link.when_failed("fail_parent")
        link = node.with_children([before])
    return link


def group(*nodes: Node[Any], then: Node[R]) -> Node[R]:
    """Return a tree whose nodes run side by side, and `then` once all of them have ended.

    Raises:
        InvalidOptionError: There is none.
    """
    require(nodes != (), "nodes", nodes, "at least one")
    return then.with_children(nodes)


def flatten(
    trees: Sequence[Node[Any]], parent: tuple[str, str] | None = None
) -> list[list[NewNode]]:
    """Return the new jobs of trees, each parent before its children; each gets an id.

    Parameters:
        trees: The roots.
        parent: Queue and id of the job that they become children of. None: of none.

    Raises:
        InvalidOptionError: A tree is too large, an id comes twice, or a root says what its parent
            does though it has none.
    """
    seen: set[tuple[str, str]] = set()
    return [_flat(tree, parent, seen) for tree in trees]


def _flat(
    root: Node[Any], parent: tuple[str, str] | None, seen: set[tuple[str, str]]
) -> list[NewNode]:
    require(isinstance(root, Node), "tree", root, "a node: task.node(...) or Node(queue, name)")
    if parent is None and root.on_failure != "wait":
        raise InvalidOptionError(
            f"on_failure={root.on_failure!r}: job {root.job.name!r} is the root of its tree, so no"
            " parent hears of its failure. Say it of the nodes below it"
        )
    found: list[NewNode] = []
    size = 0
    todo: list[tuple[Node[Any], ParentRef | None]] = [
        (root, None if parent is None else ParentRef(*parent, root.on_failure))
    ]
    while todo:
        node, above = todo.pop()
        job = _with_id(node.job, above)
        key = (job.queue, job.job_id or "")
        if key in seen:
            raise InvalidOptionError(
                f"job_id={job.job_id!r}: two nodes of one call have this id in queue"
                f" {job.queue!r}; give each its own, or none"
            )
        seen.add(key)
        size += len(job.data.encode())
        found.append(NewNode(job=job, parent=above, waits=bool(node.children)))
        if len(found) > MAX_NODES or size > MAX_TOTAL_BYTES:
            raise InvalidOptionError(
                f"the tree of job {root.job.name!r} is too large: one call adds at most"
                f" {MAX_NODES:,} nodes with {MAX_TOTAL_BYTES:,} bytes of payloads, since it adds"
                " them whole or not at all. Have its tasks add the others while they run:"
                " await context.add_children([...])"
            )
        todo += [(child, ParentRef(*key, child.on_failure)) for child in reversed(node.children)]
    return found


def prepared(node: NewNode, prepare: Callable[[NewJob], NewJob]) -> NewNode:
    """Return a node after code of the app has seen its job, such as enqueue middleware.

    Raises:
        InvalidOptionError: The code has changed the id of the job, or given it one of
            de-duplication: the job would not be found in its tree.
    """
    job = prepare(node.job)
    if job is node.job:
        return node
    if job.job_id != node.job.job_id or job.deduplication is not None:
        raise InvalidOptionError(
            f"job {job.name!r}: enqueue middleware changed job_id or deduplication of a node of a"
            " flow. Other nodes know it by its id: leave both as they are"
        )
    return msgspec.structs.replace(node, job=_with_id(job, node.parent))


def _with_id(job: NewJob, parent: ParentRef | None) -> NewJob:
    opts = job.opts
    if parent is not None and (flag := FLAGS.get(parent.on_failure)) is not None:
        opts = encode_text({**decode(opts), flag: True})
    return msgspec.structs.replace(job, job_id=job.job_id or new_job_id(), opts=opts)
