"""Flows in somebody's hand: add trees, find them again, and see which can never finish."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from toril.core.checks import is_whole, require
from toril.core.errors import InvalidOptionError, JobNotFoundError, WrongStateError
from toril.core.ids import check_queue_name
from toril.engine.contract import JobFilter
from toril.engine.contract.flows import MAX_NODES, NewNode
from toril.engine.flow_stuck import StuckFlow, find_stuck, queue_records
from toril.engine.flow_tree import FlowNode, FlowProgress, progress_of, read_tree
from toril.engine.handle import Job
from toril.engine.info import JobInfo
from toril.engine.node import Node, flatten, prepared
from toril.engine.operations import Operation
from toril.engine.producer import Producer
from toril.engine.states import FINISHED, State
from toril.engine.texts import beginning

MOST_NODES = 10_000
"""Most nodes of a flow that are read at once."""
_PASSES = 20
"""How often a flow is looked over again that grows while it is cancelled."""

R = TypeVar("R")


class Flow(Generic[R]):
    """A handle of a flow: of its root and everything below. Each call asks the store."""

    __slots__ = ("_producer", "duplicate", "root")

    def __init__(self, producer: Producer, root: Job[R]) -> None:
        self._producer = producer
        self.root = root
        """The job that ends last, and whose result is the flow's."""
        self.duplicate = root.duplicate
        """Nothing was added: a job of the root's id was there already."""

    def __repr__(self) -> str:
        return f"Flow(id={self.id!r}, queue={self.queue!r})"

    @property
    def id(self) -> str:
        """The root's id."""
        return self.root.id

    @property
    def queue(self) -> str:
        """The root's queue."""
        return self.root.queue

    async def state(self) -> State:
        """Return where the root is.

        Raises:
            JobNotFoundError: It is gone.
        """
        return await self.root.state()

    async def result(self, timeout_s: float | None = None) -> R:
        """Wait for the whole flow and return what the root's task returned.

        Without a timeout this waits for ever if a child fails that has no `on_failure`: its parent
        waits until somebody retries it.

        Parameters:
            timeout_s: Longest wait, in seconds. None: for ever.

        Raises:
            JobFailedError: The root failed for good; the message is the reason.
            JobNotFoundError: It is gone: removed, or finished and not kept.
            ResultTimeoutError: It has not finished in time. It goes on.
        """
        return await self.root.result(timeout_s)

    def result_sync(self, timeout_s: float | None = None) -> R:
        """The same for plain code."""
        return self._producer.run_sync(self.result(timeout_s))

    async def tree(self, *, max_nodes: int = MAX_NODES) -> FlowNode:
        """Return the root with everything below it, with states and results.

        Parameters:
            max_nodes: Most nodes, 1 to 10,000. Where there are more, a node says so (`cut`).

        Raises:
            JobNotFoundError: The root is gone.
        """
        good = is_whole(max_nodes) and 1 <= max_nodes <= MOST_NODES
        require(good, "max_nodes", max_nodes, f"an integer from 1 to {MOST_NODES:,}")
        found = await read_tree(self._producer.backend(), self.queue, self.id, max_nodes=max_nodes)
        if found is None:
            raise JobNotFoundError(
                f"queue {self.queue!r} has no job {self.id!r}: it was removed, or never added",
                job_id=self.id,
                queue=self.queue,
            )
        return found

    async def progress(self) -> FlowProgress:
        """Return how far it has come, over all its nodes; errors as `tree`."""
        return progress_of(await self.tree(max_nodes=MOST_NODES))

    async def cancel(self, reason: str = "cancelled") -> int:
        """Stop for good all that has not ended, the root first; return how many jobs.

        Those that wait fail at once; those that run are told.

        Raises:
            JobNotFoundError: The root is gone.
        """
        cancelled: set[tuple[str, str]] = set()
        async with self._doing("flow.cancel", reason=beginning(reason)) as doing:
            for _ in range(_PASSES):  # running tasks may add children meanwhile
                doing.count = len(cancelled)
                for node in (await self.tree(max_nodes=MOST_NODES)).nodes():
                    key = (node.queue, node.id)
                    if node.state in (None, *FINISHED) or key in cancelled:
                        continue
                    if await self._tried(node, "cancel", beginning(reason)):
                        cancelled.add(key)
                if len(cancelled) == doing.count:
                    break
            doing.count = len(cancelled)
        return len(cancelled)

    async def retry(self, *, reset_attempts: bool = True) -> int:
        """Put back in line what has failed, children before their parents; return how many jobs.

        A parent whose children have not ended then waits for them again.

        Parameters:
            reset_attempts: Give each its full number of attempts again.

        Raises:
            JobNotFoundError: The root is gone.
        """
        failed = [
            node
            for node in (await self.tree(max_nodes=MOST_NODES)).nodes()
            if node.state is State.FAILED
        ]
        async with self._doing("flow.retry", reset_attempts=reset_attempts) as doing:
            doing.count = 0
            for node in reversed(failed):
                doing.count += await self._tried(node, "retry", reset_attempts)
            return doing.count

    async def _tried(self, node: FlowNode, verb: str, how: Any) -> bool:
        """Do something to one job; return whether it could be done, as it may move meanwhile."""
        jobs = self._producer.backend().jobs
        try:
            if verb == "cancel":
                await jobs.cancel(node.queue, node.id, reason=how)
            else:
                await jobs.retry(node.queue, node.id, reset_attempts=how)
        except (WrongStateError, JobNotFoundError):
            return False
        return True

    async def remove(self) -> int:
        """Remove the root and everything below it, in whatever state; return how many jobs.

        Raises:
            JobNotFoundError: The root is gone.
            WrongStateError: A worker holds one of them: cancel the flow first.
        """
        async with self._doing("flow.remove") as doing:
            doing.count = await self._producer.backend().flows.remove(self.queue, self.id)
            return doing.count

    def _doing(self, verb: str, **arguments: Any) -> AbstractAsyncContextManager[Operation]:
        """Tell who does what to the flow, once it is done."""
        return self._producer.operations.doing(verb, self.queue, self.id, **arguments)

    async def add_children(self, children: Sequence[Node[Any]]) -> list[Flow[Any]]:
        """Add children to the root while it waits or runs; return a handle of each.

        Raises:
            InvalidOptionError: There can be no such jobs.
            JobNotFoundError: The root is gone.
            WrongStateError: It has finished, or a child is there and has another parent.
        """
        return await _add(self._producer, children, (self.queue, self.id))


class Flows:
    """The flows of an app: `app.flows`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def add(self, tree: Node[R]) -> Flow[R]:
        """Add a tree, whole or not at all, and return its handle.

        If a job of the root's own id is there, nothing is added (`Flow.duplicate`).

        Raises:
            InvalidOptionError: It has more than 2,000 nodes, an id comes twice, or its queues are
                in several slots of a Redis Cluster.
            WrongStateError: A node's id is a job's that has another parent, or has children in the
                tree although it is there.
        """
        (flow,) = await self.add_many([tree])
        return flow

    def add_sync(self, tree: Node[R]) -> Flow[R]:
        """The same for plain code."""
        return self._producer.run_sync(self.add(tree))

    async def add_many(self, trees: Sequence[Node[R]]) -> list[Flow[R]]:
        """Add trees, each whole or not at all: up to 2,000 nodes together, more in several calls.

        Errors as `add`; trees of the calls before have been added then.
        """
        return await _add(self._producer, trees, None)

    def get(self, queue: str, job_id: str) -> Flow[Any]:
        """Return the handle of a flow by its root, whether it exists or not.

        Raises:
            InvalidOptionError: A queue cannot have this name.
        """
        return Flow(self._producer, Job(self._producer, check_queue_name(queue), job_id))

    async def waiting(self, queue: str | None = None, *, limit: int = 50) -> list[JobInfo]:
        """Return the roots that wait for their children, longest first within each queue.

        Parameters:
            queue: Only of this queue. None: of all.
            limit: How many, 1 to 1,000.
        """
        require(is_whole(limit) and 1 <= limit <= 1000, "limit", limit, "an integer, 1 to 1,000")
        backend = self._producer.backend()
        found: list[JobInfo] = []
        for record in await queue_records(backend, () if queue is None else (queue,)):
            if queue not in (None, record.name) or not record.counts[State.WAITING_CHILDREN]:
                continue
            after: str | None = None
            while len(found) < limit:
                page = await backend.jobs.page(
                    JobFilter(
                        queue=record.name,
                        states=(State.WAITING_CHILDREN,),
                        limit=200,
                        after=after,
                    )
                )
                found += [JobInfo.from_record(job) for job in page.jobs if job.parent is None]
                after = page.next
                if after is None:
                    break
        return found[:limit]

    async def stuck(self, queue: str | None = None, *, limit: int = 1000) -> list[StuckFlow]:
        """Return the parents that can never go on by themselves, each with the reason.

        Parameters:
            queue: Only of this queue. None: of all.
            limit: How many parents are looked at.
        """
        require(is_whole(limit) and limit >= 1, "limit", limit, "an integer from 1")
        queues = None if queue is None else [queue]
        return await find_stuck(self._producer.backend(), queues=queues, limit=limit)


async def _add(
    producer: Producer, trees: Sequence[Node[Any]], parent: tuple[str, str] | None
) -> list[Flow[Any]]:
    require(not isinstance(trees, Node), "trees", trees, "a list of nodes")
    for tree in trees:
        _refuse_other_store(producer, tree)
    backend = producer.backend()
    flat = flatten(trees, parent)
    if producer.prepares:
        flat = [[prepared(node, producer.prepare) for node in nodes] for nodes in flat]
    duplicates: list[bool] = []
    batch: list[list[NewNode]] = []

    async def send() -> None:
        answers = await backend.flows.add([node for nodes in batch for node in nodes])
        place = 0
        for nodes in batch:
            duplicates.append(answers[place].duplicate)
            place += len(nodes)
        batch.clear()

    for nodes in flat:
        if batch and sum(map(len, batch)) + len(nodes) > MAX_NODES:
            await send()
        batch.append(nodes)
    if batch:
        await send()
    return [
        Flow(
            producer,
            Job(producer, nodes[0].job.queue, nodes[0].job.job_id or "", duplicate, tree.decode),
        )
        for tree, nodes, duplicate in zip(trees, flat, duplicates, strict=True)
    ]


def _refuse_other_store(producer: Producer, tree: Node[Any]) -> None:
    """Refuse a task of another app's store: one transaction cannot reach both."""
    here = producer.place
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, Node):
            there = node.store
            if isinstance(here, str) and isinstance(there, str) and here != there:
                raise InvalidOptionError(
                    f"task={node.job.name!r}: its app has another store than this one, and a flow"
                    " is added in one transaction. Use a task of this app, or Node(queue, name)"
                )
            todo += node.children
