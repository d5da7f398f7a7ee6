"""Routes about the store as a whole: the figures of all queues, and what needs a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from toril.engine.info import QueueInfo
from toril.observability.prometheus import exposition, metrics
from toril.rest.answers import Concerns, Overview, Totals, WorkerFacts
from toril.rest.bodies import ListQuery, MetricsQuery
from toril.version import VERSION
from toril.web.access.port import Permission
from toril.web.attention import concerns_of, read_attention
from toril.web.call import Call
from toril.web.declaring import Raw, Routes
from toril.web.listing import worker_list

routes = Routes("store")


@routes.get("/overview")
async def get_overview(call: Call) -> Overview:
    """Show the store at one look: totals, what needs a person, queues and workers."""
    facts = await read_attention(call)
    workers = worker_list(call, facts.workers)
    return Overview(
        store=call.app.backend().url,
        version=VERSION,
        at=datetime.now(UTC),
        totals=totals(facts.queues, workers),
        attention=concerns_of(facts),
        queues=facts.queues,
        workers=workers,
    )


@routes.get("/attention")
async def get_attention(call: Call, query: ListQuery) -> Concerns:
    """List what needs a person, the worst first."""
    return Concerns(items=concerns_of(await read_attention(call)))


@routes.get("/metrics")
async def get_metrics(call: Call, query: MetricsQuery) -> Raw:
    """Return the figures of all queues that the caller may see, as text for Prometheus.

    A key for some queues only is told nothing of workers that serve others as well, nor what the
    application itself measures.
    """
    for name in query.queue:
        call.need(Permission.READ, name)
    if call.principal.queues is None:
        text = await call.app.prometheus(query.queue or None)
    else:
        names = query.queue or [info.name for info in await call.queues()]
        figures = await call.app.figures(names)
        workers = [one for one in figures.workers if all(map(call.sees, one.queues))]
        found = metrics(replace(figures, workers=workers))
        text = await asyncio.to_thread(exposition, found)
    return Raw(text.encode("utf-8", "replace"), "text/plain; version=0.0.4")


def totals(queues: Iterable[QueueInfo], workers: Iterable[WorkerFacts]) -> Totals:
    """Return the figures over all queues."""
    infos, alive = list(queues), list(workers)
    ages = [info.oldest_waiting_s for info in infos if info.oldest_waiting_s is not None]
    return Totals(
        queues=len(infos),
        paused=sum(info.paused for info in infos),
        waiting=sum(info.waiting for info in infos),
        prioritized=sum(info.prioritized for info in infos),
        delayed=sum(info.delayed for info in infos),
        waiting_children=sum(info.waiting_children for info in infos),
        active=sum(info.active for info in infos),
        completed=sum(info.completed for info in infos),
        failed=sum(info.failed for info in infos),
        completed_total=sum(info.completed_total for info in infos),
        failed_total=sum(info.failed_total for info in infos),
        oldest_waiting_s=max(ages, default=None),
        workers=len(alive),
        slots=sum(one.concurrency or 0 for one in alive),
        running=sum(one.running or 0 for one in alive),
    )
