"""Routes that search jobs of all queues, and what is done to many of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from starlette.responses import StreamingResponse

from toril.engine.bulk.handle import BulkOperation
from toril.engine.bulk.info import OperationInfo
from toril.engine.search.found import SearchPlan
from toril.rest.answers import FoundJobs, OperationPlan, Page, Restored
from toril.rest.bodies import Act, OperationBody, OperationsQuery, PlanQuery, SearchQuery
from toril.web.access.port import Permission
from toril.web.call import Call, forbidden
from toril.web.declaring import Raw, Routes
from toril.web.encoding import encode
from toril.web.listing import job_lines
from toril.web.problems import Problem
from toril.web.searching import need_fields, need_queues, sees_operation, shown_operation

routes = Routes("search")

LINES = "application/x-ndjson"


@routes.get("/jobs", timeout_s=15.0)
async def search_jobs(call: Call, query: SearchQuery) -> FoundJobs:
    """Find jobs of all queues by a line such as `state:failed name:receipt since:1h`.

    The store is asked in short calls. Once the time is over, the answer is what was found, and a
    cursor to go on.
    """
    need_fields(call, query.q)
    need_queues(call, query.q, Permission.READ)
    page = await call.search(query.q, after=query.after, limit=query.limit, budget_s=query.budget_s)
    return FoundJobs(
        items=job_lines(call, page.jobs),
        next=page.next,
        looked_at=page.looked_at,
        passed_over=page.passed_over,
        queue=page.queue,
        state=page.state,
        repeats=page.repeats,
    )


@routes.get("/jobs/plan")
async def plan_search(call: Call, query: PlanQuery) -> SearchPlan:
    """Say what a search will cost; no job is looked at."""
    need_fields(call, query.q)
    need_queues(call, query.q, Permission.READ)
    return await call.app.explain_search(query.q)


@routes.get("/jobs/export")
async def export_jobs(call: Call, query: PlanQuery) -> Raw:
    """Give jobs whole, all that a search finds: one JSON object a line, as they are found.

    An answer that breaks off is not all.
    """
    call.need_payloads()
    need_fields(call, query.q)
    need_queues(call, query.q, Permission.READ)
    async with call.app.operating("bulk.export", query=query.q):
        pass  # recorded before anything is given away
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_lines(call, query.q), headers=headers, media_type=LINES)  # type: ignore[return-value] # an answer in parts


async def _lines(call: Call, query: str) -> AsyncIterator[bytes]:
    async with aclosing(call.app.bulk.whole(query)) as parts:
        async for jobs in parts:
            shown = [info for job in jobs if (info := call.sight.job(job)) is not None]
            if shown:
                yield b"".join(encode(info) + b"\n" for info in shown)


@routes.post("/operations/preview", timeout_s=15.0, names_queues=True)
async def preview_operation(call: Call, body: OperationBody) -> OperationPlan:
    """Say how many jobs an operation would change, with ten of them. Nothing is changed."""
    if body.query is None:
        raise Problem(422, "missing_field", "query: a preview needs a search", field="query")
    need_fields(call, body.query)
    need_queues(call, body.query, Permission.OPERATE)
    found = await call.app.bulk.preview(body.action, body.query)
    return OperationPlan(
        action=found.action,
        query=found.query,
        count=found.count,
        exact=found.exact,
        at_most=found.at_most,
        samples=job_lines(call, found.samples),
    )


@routes.post("/operations", names_queues=True)
async def begin_operation(call: Call, body: OperationBody) -> OperationInfo:
    """Begin to change many jobs: those that a search finds, or those that are named.

    The answer comes at once; the operation goes on in the server, and after a kill in any worker of
    the store. `GET /operations/{operation_id}` says how far it is.
    """
    if body.query is not None:
        need_fields(call, body.query)
        need_queues(call, body.query, Permission.OPERATE)
    elif body.queue is not None:
        call.need(Permission.OPERATE, body.queue)
    begun = await _begin(call, body)
    call.interface.operations.drive(begun)
    return shown_operation(call, await begun.info())


async def _begin(call: Call, body: OperationBody) -> BulkOperation:
    bulk = call.app.bulk
    query, queue, ids, rate = body.query, body.queue, body.ids, body.max_per_s
    match body.action:
        case "retry":
            return await bulk.retry(
                query, queue=queue, ids=ids, max_per_s=rate, reset_attempts=body.reset_attempts
            )
        case "remove":
            return await bulk.remove(query, queue=queue, ids=ids, max_per_s=rate, keep=body.keep_s)
        case "promote":
            return await bulk.promote(query, queue=queue, ids=ids, max_per_s=rate)
        case "cancel":
            return await bulk.cancel(
                query, queue=queue, ids=ids, max_per_s=rate, reason=body.reason
            )
        case "move":
            if body.to is None:
                raise Problem(422, "missing_field", "to: where the jobs move", field="to")
            call.need(Permission.OPERATE, body.to)
            return await bulk.move(query, to=body.to, queue=queue, ids=ids, max_per_s=rate)


@routes.get("/operations")
async def list_operations(call: Call, query: OperationsQuery) -> Page[OperationInfo]:
    """List operations on many jobs, newest first. They are known for a week."""
    found = await call.app.bulk.list(limit=query.limit)
    return Page([shown_operation(call, info) for info in found if sees_operation(call, info)])


@routes.get("/operations/{operation_id}")
async def get_operation(call: Call, operation_id: str) -> OperationInfo:
    """Show what an operation is to do, and how far it is."""
    return shown_operation(call, (await _there(call, operation_id, Permission.READ))[1])


@routes.post("/operations/{operation_id}/cancel", names_queues=True)
async def cancel_operation(call: Call, operation_id: str, body: Act) -> OperationInfo:
    """Have an operation end where it stands."""
    found, _ = await _there(call, operation_id, Permission.OPERATE)
    await found.cancel()
    return shown_operation(call, await found.info())


@routes.post("/operations/{operation_id}/undo", timeout_s=60.0, names_queues=True)
async def undo_operation(call: Call, operation_id: str, body: Act) -> Restored:
    """Put the jobs back that an operation has removed, as long as they are kept."""
    found, _ = await _there(call, operation_id, Permission.OPERATE)
    undone = await found.undo()
    return Restored(restored=undone.restored, taken=undone.taken)


async def _there(
    call: Call, operation_id: str, permission: Permission
) -> tuple[BulkOperation, OperationInfo]:
    found = call.app.bulk.operation(operation_id)
    info = await found.info()
    if not sees_operation(call, info):
        raise forbidden(call.principal, Permission.READ, None)
    for queue in info.queues:
        call.need(permission, queue)
    return found, info
