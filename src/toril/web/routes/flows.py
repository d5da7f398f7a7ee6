"""Routes about flows: trees of jobs in which a parent waits for its children."""

from __future__ import annotations

from toril.engine.flow_stuck import StuckFlow
from toril.engine.flow_tree import FlowNode, progress_of
from toril.rest.answers import Done, FlowFacts, FlowJob, FlowLine, FlowProgressFacts, Page
from toril.rest.bodies import Act, FlowQuery, FlowsQuery, RetryBody
from toril.web.access.port import Permission
from toril.web.below import need_below
from toril.web.call import Call
from toril.web.declaring import Routes

routes = Routes("flows")

MOST_PARENTS = 1000
"""Parents that are looked at for whether they are stuck."""


@routes.get("/flows")
async def list_flows(call: Call, query: FlowsQuery) -> Page[FlowLine]:
    """List flows whose root waits for its children, longest first within each queue."""
    if query.queue is not None:
        call.need(Permission.READ, query.queue)
    found = await call.app.flows.waiting(query.queue, limit=query.limit)
    return Page(
        [
            FlowLine(queue=info.queue, id=info.id, name=info.name, created_at=info.created_at)
            for info in found
            if call.sees(info.queue)
        ]
    )


@routes.get("/flows/stuck")
async def list_stuck_flows(call: Call, query: FlowsQuery) -> Page[StuckFlow]:
    """List parents that can never go on by themselves, each with the reason."""
    if query.queue is not None:
        call.need(Permission.READ, query.queue)
    found = await call.app.flows.stuck(query.queue, limit=MOST_PARENTS)
    return Page([one for one in found if call.sees(one.queue)][: query.limit])


@routes.get("/queues/{queue}/jobs/{job_id}/flow")
async def get_flow(call: Call, queue: str, job_id: str, query: FlowQuery) -> FlowFacts:
    """Show the flow below a job: each job before its children, and how far it has come."""
    root = await call.app.flows.get(queue, job_id).tree(max_nodes=query.limit)
    shown = call.sight.flow(root)
    assert shown is not None  # noqa: S101 - the caller may see the queue
    progress = progress_of(shown)
    return FlowFacts(
        progress=FlowProgressFacts(
            total=progress.total,
            completed=progress.completed,
            failed=progress.failed,
            active=progress.active,
            waiting=progress.waiting,
            waiting_children=progress.waiting_children,
            gone=progress.gone,
            cut=progress.cut,
        ),
        nodes=_nodes(shown),
    )


@routes.post("/queues/{queue}/jobs/{job_id}/flow/retry")
async def retry_flow(call: Call, queue: str, job_id: str, body: RetryBody) -> Done:
    """Put back in line what has failed below a job and the job itself, children first."""
    await need_below(call, queue, job_id)
    flow = call.app.flows.get(queue, job_id)
    return Done(count=await flow.retry(reset_attempts=body.reset_attempts))


@routes.post("/queues/{queue}/jobs/{job_id}/flow/cancel")
async def cancel_flow(call: Call, queue: str, job_id: str, body: Act) -> Done:
    """Stop for good what has not ended below a job and the job itself."""
    await need_below(call, queue, job_id)
    flow = call.app.flows.get(queue, job_id)
    return Done(count=await flow.cancel(body.reason or "cancelled"))


def _nodes(root: FlowNode) -> list[FlowJob]:
    """Return the jobs of a tree, each with its parent."""
    found: list[FlowJob] = []
    todo: list[tuple[FlowNode, FlowNode | None]] = [(root, None)]
    while todo:
        node, parent = todo.pop()
        todo += [(child, node) for child in reversed(node.children)]
        found.append(
            FlowJob(
                queue=node.queue,
                id=node.id,
                key=node.key,
                parent_queue=None if parent is None else parent.queue,
                parent_id=None if parent is None else parent.id,
                name=node.name,
                state=node.state,
                fate=node.fate,
                failed_reason=node.failed_reason,
                cut=node.cut,
            )
        )
    return found
