"""Routes about failures, grouped by what failed."""

from __future__ import annotations

from toril.rest.answers import ErrorGroups
from toril.rest.bodies import ErrorQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.fingerprints import group_failures

routes = Routes("errors")


@routes.get("/errors", errors=(404,))
async def list_errors(call: Call, query: ErrorQuery) -> ErrorGroups:
    """Group failed jobs that failed alike: by queue, name, type of the error, message and line.

    The newest failed jobs of each queue are looked at, `look_at` of them in all; the answer says
    how many there are.
    """
    call.need_payloads()
    if query.queue is not None:
        call.need(Permission.READ, query.queue)
        queues = [(await call.existing(query.queue))[1]]
    else:
        queues = await call.queues()
    return await group_failures(call, queues, query.look_at)
