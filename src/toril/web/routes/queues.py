"""Routes that read queues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toril.core.errors import BackendError, StoreUnreachableError
from toril.engine.info import QueueInfo
from toril.engine.options import Priority
from toril.rest.answers import Page, QueueFacts
from toril.rest.bodies import Act, QueueQuery
from toril.web.access.port import Permission
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.paging import part_after

routes = Routes("queues")

_KEYS: dict[str, Callable[[QueueInfo], Any]] = {
    "name": lambda info: info.name,
    "-waiting": lambda info: (-(info.waiting + info.prioritized), info.name),
    "-failed": lambda info: (-info.failed, info.name),
    "-active": lambda info: (-info.active, info.name),
    "-oldest": lambda info: (-(info.oldest_waiting_s or 0.0), info.name),
}


@routes.get("/queues")
async def list_queues(call: Call, query: QueueQuery) -> Page[QueueInfo]:
    """List queues with their figures."""
    found = await call.queues()
    if query.prefix is not None:
        found = [info for info in found if info.name.startswith(query.prefix)]
    found.sort(key=_KEYS[query.sort])
    items, after = part_after(found, [info.name for info in found], query.after, query.limit)
    return Page(items, after)


@routes.post("/queues/search", Permission.OPERATE, timeout_s=60.0)
async def search_queues(call: Call, body: Act) -> Page[QueueInfo]:
    """Look for queues that only BullMQ has used.

    On Redis all keys of the server are looked through, in small steps. What is found is on the list
    from then on. A file lists all of its queues anyway.
    """
    await call.app.queues(search=True)
    return Page(await call.queues())


@routes.get("/queues/{queue}")
async def get_queue(call: Call, queue: str) -> QueueFacts:
    """Show one queue: its figures, what waits by priority, whether a worker serves it."""
    found, info = await call.existing(queue)
    by_priority = await found.waiting_by_priority([0, *map(int, Priority)])
    try:
        served = queue in await call.app.backend().flows.served()
    except BackendError:  # the server's user may not list who is connected
        served = any(queue in one.queues for one in await call.app.workers())
    try:
        dead_letter = await found.dead_letter()
    except StoreUnreachableError:  # Redis has the rule; the figures are the fallback store's
        dead_letter = None
    return QueueFacts(
        queue=info,
        waiting_by_priority={str(priority): many for priority, many in by_priority.items()},
        dead_letter=dead_letter,
        served=served,
    )
