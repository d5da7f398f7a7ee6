"""Workers: each process with what it runs, how it does, and what it can be told."""

from __future__ import annotations

from typing import Any

from toril.rest.bodies import PartQuery
from toril.web.dashboard.fleet import ORDER, members, versions
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.workers import list_workers

PAGE = Page(
    name="workers",
    path="/workers",
    title=N_("Workers"),
    nav=Nav(label=N_("Workers"), order=60, key="w"),
    styles=("queues.css", "workers.css"),
    said={
        "tell_worker": N_("Worker %(worker_id)s is told with its next heartbeat."),
        "worker_pause": N_("Worker %(worker_id)s takes no jobs until it is resumed."),
        "worker_resume": N_("Worker %(worker_id)s takes jobs again."),
        "worker_quiet": N_("Worker %(worker_id)s takes no more jobs; those that it runs go on."),
        "worker_stop": N_("Worker %(worker_id)s leaves once its jobs have ended."),
        "worker_resize": N_("Worker %(worker_id)s gets another number of slots."),
        "declare_dead": N_("Worker %(worker_id)s is given up; its jobs are back in line."),
    },
)
ROWS = 60
"""Workers at once: each has a few buttons."""
JOBS_SHOWN = 3


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the workers that are alive, and what they run."""
    found = (await visit.ask(list_workers, query=PartQuery(limit=1000))).items
    counted = {word: sum(one.state == word for one in found) for word in ORDER}
    only, wanted = visit.choice("state", ORDER, ""), visit.param("q").strip()
    chosen = [
        one for one in found
        if (not only or one.state == only) and wanted.lower() in f"{one.id} {one.host}".lower()
    ]  # fmt: skip
    rows = await members(visit, chosen)
    start = int(visit.param("from")) if visit.param("from").isdecimal() else 0
    known = versions(found)
    return {
        "rows": rows[start : start + ROWS],
        "total": len(rows),
        "all": len(found),
        "start": start,
        "next": start + ROWS if start + ROWS < len(rows) else None,
        "counted": counted,
        "order": ORDER,
        "only": only,
        "wanted": wanted,
        "versions": known,
        "slots": sum(one.concurrency or 0 for one in found),
        "busy": sum(one.running or 0 for one in found),
        "memory_bytes": sum(one.resident_bytes or 0 for one in found),
        "hosts": len({one.host for one in found}),
        "jobs_shown": JOBS_SHOWN,
    }
