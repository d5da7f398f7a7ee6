"""Answers what tasks ask of their jobs' children. On the worker's loop.

Read next: `context_flows.py` (what they ask).
"""

from __future__ import annotations

from collections.abc import Callable

from toril.core.errors import InvalidOptionError
from toril.engine.context_flows import (
    ChildrenAdded,
    ChildrenAsked,
    ChildrenDropped,
    FlowAsked,
    OutlineAsked,
    answer_of,
)
from toril.engine.contract.flows import MAX_NODES, Flows, NewNode
from toril.engine.flow import ParentRef
from toril.engine.job import Claimed, NewJob
from toril.engine.new_jobs import checked
from toril.engine.node import prepared

PAGE = 500
"""Children in one call of the store."""


class FlowAsking:
    """Answers the attempts of one worker."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self.prepare: Callable[[NewJob], NewJob] | None = None
        """What sees the job of each new child first. None: nothing does."""

    async def answer(self, claimed: Claimed, asked: FlowAsked, *, trusted: bool) -> bytes:
        """Return the answer to what the task of a claimed job asks.

        Parameters:
            claimed: The job.
            asked: What its task asks.
            trusted: It comes from our own code. A child process may run anybody's.

        Raises:
            InvalidOptionError, InvalidPayloadError: There can be no such children.
            WrongStateError, JobNotFoundError: As `Flows.add`.
        """
        queue, job_id = claimed.queue, claimed.id
        match asked:
            case ChildrenAsked(after):
                page = await self._flows.children(
                    queue, job_id, limit=PAGE, after=after, brief=True
                )
                return answer_of(page)
            case OutlineAsked():
                return answer_of(await self._flows.outline(queue, job_id))
            case ChildrenDropped():
                return answer_of(await self._flows.remove_children(queue, job_id))
            case ChildrenAdded(nodes):
                if not trusted:
                    _check(nodes, claimed)
                if not nodes:
                    return answer_of([])
                if self.prepare is not None:
                    nodes = [prepared(node, self.prepare) for node in nodes]
                answers = await self._flows.add(nodes, token=claimed.token)
                own = ParentRef(queue, job_id)
                added = [
                    answer
                    for node, answer in zip(nodes, answers, strict=True)
                    if node.parent is not None and node.parent.is_same(own)
                ]
                return answer_of(added)


def _check(nodes: list[NewNode], claimed: Claimed) -> None:
    """Check nodes that a child process sent as if they came from a stranger.

    Raises:
        InvalidOptionError, InvalidPayloadError: None of ours could have made them.
    """
    above = {(claimed.queue, claimed.id)}
    if len(nodes) > MAX_NODES:
        raise InvalidOptionError(f"children: {len(nodes)} nodes; at most {MAX_NODES:,} at once")
    for node in nodes:
        checked(node.job)
        parent = node.parent
        if node.job.job_id is None or parent is None:
            raise InvalidOptionError("children: each needs an id and a parent")
        key = (node.job.queue, node.job.job_id)
        if (parent.queue, parent.job_id) not in above or key in above:
            raise InvalidOptionError(
                f"children: {node.job.job_id!r} is no child of this job, or comes twice"
            )
        above.add(key)
