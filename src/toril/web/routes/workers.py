"""Routes about workers."""

from __future__ import annotations

from toril.rest.answers import Done, Page, WorkerFacts
from toril.rest.bodies import Act, PartQuery, TellBody
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.listing import worker_list
from toril.web.problems import Problem

routes = Routes("workers")


@routes.get("/workers")
async def list_workers(call: Call, query: PartQuery) -> Page[WorkerFacts]:
    """List the workers that are alive, oldest first."""
    return Page(worker_list(call, await call.workers())[: query.limit])


@routes.get("/workers/{worker_id}")
async def get_worker(call: Call, worker_id: str) -> WorkerFacts:
    """Show a worker."""
    for facts in worker_list(call, await call.app.workers()):
        if facts.id == worker_id:
            return facts
    raise _not_found(worker_id)


@routes.post("/workers/{worker_id}/declare-dead")
async def declare_dead(call: Call, worker_id: str, body: Act) -> Done:
    """Say that a worker is known to be dead, and put its jobs back in line at once.

    Otherwise its silence tells, in 9 s.
    """
    known = next((one for one in await call.app.workers() if one.id == worker_id), None)
    if known is None:
        raise _not_found(worker_id)
    for queue in known.queues:
        call.need(Permission.OPERATE, queue)
    return Done(count=await call.app.declare_dead(worker_id))


@routes.post("/workers/{worker_id}/tell", names_queues=True)
async def tell_worker(call: Call, worker_id: str, body: TellBody) -> Done:
    """Tell a worker what to do: it hears it within 3 s, with its next heartbeat.

    Whoever asks has to be allowed to operate all queues that the worker serves.
    """
    if body.wish == "resize" and body.concurrency is None:
        raise Problem(
            422, "missing_field", "concurrency: a resize needs how many jobs at once",
            field="concurrency",
        )  # fmt: skip
    known = next((one for one in await call.app.workers() if one.id == worker_id), None)
    if known is None or not any(map(call.sees, known.queues)):
        raise _not_found(worker_id)
    for queue in known.queues:
        if not call.sees(queue):  # not by its name, which the caller does not know
            raise Problem(
                403, "forbidden", f"worker {worker_id!r} serves other queues too, which"
                f" {call.principal.name} may not operate",
            )  # fmt: skip
        call.need(Permission.OPERATE, queue)
    if not await call.app.tell_worker(worker_id, body.wish, concurrency=body.concurrency):
        raise _not_found(worker_id)
    return Done(count=1)


def _not_found(worker_id: str) -> Problem:
    return Problem(
        404, "worker_not_found", f"no worker {worker_id!r} is alive: GET /workers lists those"
        " that are",
    )  # fmt: skip
