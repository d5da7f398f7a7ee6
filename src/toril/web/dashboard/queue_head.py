"""What stands above the tabs of a queue: its figures, its health, who serves it."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.web.dashboard.health import health
from toril.web.dashboard.recent_operations import recent_operations
from toril.web.dashboard.visit import Visit
from toril.web.letter_queues import unworked_queues
from toril.web.routes.queues import get_queue

SHOWN_S = 120.0
"""How long an operation that has ended is still shown."""
LIFE = ("wait", "prioritized", "active", "delayed", "waiting-children", "completed", "failed")
"""The states of jobs as they are shown, in the order of a job's life."""


async def queue_head(visit: Visit) -> dict[str, Any]:
    """Return what `queue_frame.html` needs; `info` and `queue` for its tabs as well.

    Raises:
        Problem: There is no such queue.
    """
    queue = visit.parts["queue"]
    facts, workers, operations = await asyncio.gather(
        visit.ask(get_queue, queue=queue),
        visit.workers(),
        recent_operations(visit, 20),
    )
    info = facts.queue
    served = {queue} if facts.served else ()
    lately = [
        one
        for one in operations
        if queue in one.queues
        and (one.ended_at is None or (visit.now - one.ended_at).total_seconds() < SHOWN_S)
    ]
    return {
        "queue": queue,
        "facts": facts,
        "info": info,
        "health": health(info, served, await unworked_queues(visit, [info], served)),
        "serving": sum(queue in worker.queues for worker in workers),
        "lately": lately,
        "life": {
            "wait": info.waiting,
            "prioritized": info.prioritized,
            "active": info.active,
            "delayed": info.delayed,
            "waiting-children": info.waiting_children,
            "completed": info.completed,
            "failed": info.failed,
        },
    }
