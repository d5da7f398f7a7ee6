"""Whether a caller may change a whole flow, whose jobs may lie in several queues."""

from __future__ import annotations

from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.problems import Problem

MOST_NODES = 10_000
"""Jobs of a flow that are looked at."""


async def need_below(call: Call, queue: str, job_id: str) -> None:
    """Refuse unless the caller may change the queues of a job and of everything below it.

    Raises:
        Problem: It may not, or nobody can tell.
        JobNotFoundError: The job is gone.
    """
    if call.principal.queues is None:
        return
    tree = await call.app.flows.get(queue, job_id).tree(max_nodes=MOST_NODES)
    for node in tree.nodes():
        call.need(Permission.OPERATE, node.queue)
        if node.cut:
            raise Problem(
                403,
                "flow_too_large",
                f"the flow has more than {MOST_NODES:,} jobs, and {call.principal.name} is limited"
                " to queues: ask somebody who is not",
            )
