"""A route that counts the jobs of an application's queues, under names of its own."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.app import App
from toril.web.access.port import Access, Permission
from toril.web.problems import Problem
from toril.web.user_routes import told


def totals_route(path: str, app: App, queues: Mapping[str, str], *, access: Access) -> Route:
    """Return a route for `GET` of `{name: {waiting, active, completed, failed, delayed, total}}`.

    Those with a priority count as waiting; `total` is the sum. A queue that was never used has 0 of
    all. Completed and failed ones are those that are kept.

    Parameters:
        path: Of the route.
        app: Whose queues.
        queues: Their names, by what the answer calls them.
        access: Says who asks; the caller has to be allowed to read each of them.
    """

    async def totals(request: Request) -> Response:
        caller = await access.identify(request)
        for queue in queues.values():
            if not caller.may(Permission.READ, queue):
                message = f"this needs the right to read {queue!r}; {caller.name} has it not"
                raise Problem(403, "forbidden", message)
        found = {name: await _counted(app, queue) for name, queue in queues.items()}
        return JSONResponse(found)

    return Route(path, told(totals))


async def _counted(app: App, queue: str) -> dict[str, int]:
    info = await app.queue(queue).info()
    counts = dict.fromkeys(("waiting", "active", "completed", "failed", "delayed"), 0)
    if info is not None:
        counts = {name: getattr(info, name) for name in counts}
        counts["waiting"] += info.prioritized
    return {**counts, "total": sum(counts.values())}
