"""Which flows a move of queues would cut: those that reach into queues that do not move."""

from __future__ import annotations

from collections.abc import Sequence

from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.counts import QueueRecord
from toril.engine.flow import ChildRecord
from toril.engine.flow_tree import read_tree
from toril.engine.job import JobRecord
from toril.engine.states import State

MOST_NODES = 10_000
"""A flow with more nodes stays where it is."""
PAGE = 500
"""Parents in one call of the store."""


class FlowTies:
    """The flows of one move, each looked at once."""

    def __init__(self, source: Backend, names: Sequence[str]) -> None:
        """Note what moves.

        Parameters:
            source: Where the queues are.
            names: The queues that move.
        """
        self._source = source
        self._names = frozenset(names)
        self._cut: dict[tuple[str, str], bool] = {}
        """By job: whether the move would cut its flow."""

    async def hold(self, job: JobRecord, children: Sequence[ChildRecord]) -> bool:
        """Whether a job has to stay, as its flow reaches into queues that do not move."""
        if job.parent is None and not children:
            return False
        key = (job.queue, job.id)
        if key not in self._cut:
            await self._look(job)
        return self._cut[key]

    async def tied_parents(self, record: QueueRecord) -> list[str]:
        """Return the ids of a queue's waiting parents that have to stay."""
        tied: list[str] = []
        if not record.counts[State.WAITING_CHILDREN]:
            return tied
        wanted = JobFilter(queue=record.name, states=(State.WAITING_CHILDREN,), limit=PAGE)
        while True:
            page = await self._source.jobs.page(wanted)
            known = await self._source.flows.known(record.name, [job.id for job in page.jobs])
            for job, children in zip(page.jobs, known, strict=True):
                if await self.hold(job, children):
                    tied.append(job.id)
            if page.next is None:
                return tied
            wanted = JobFilter(queue=record.name, states=wanted.states, limit=PAGE, after=page.next)

    async def _look(self, job: JobRecord) -> None:
        """Look at the whole flow of a job, from its root down."""
        root, outside = job, False
        seen = {(job.queue, job.id)}
        while (parent := root.parent) is not None:
            above = await self._source.jobs.get(parent.queue, parent.job_id)
            # Gone, or moved already by a run that was cut short.
            if above is None or (above.queue, above.id) in seen:
                break
            outside = outside or parent.queue not in self._names
            root = above
            seen.add((above.queue, above.id))
        tree = await read_tree(self._source, root.queue, root.id, max_nodes=MOST_NODES)
        nodes = [] if tree is None else list(tree.nodes())
        cut = outside or any(node.cut or node.queue not in self._names for node in nodes)
        self._cut |= {(node.queue, node.id): cut for node in nodes}
        self._cut[job.queue, job.id] = cut
