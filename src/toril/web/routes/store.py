"""Routes about the store as a whole: the figures of all queues, and what needs a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from toril.observability.prometheus import exposition, metrics
from toril.rest.answers import Concerns, Overview
from toril.rest.bodies import ListQuery, MetricsQuery
from toril.rest.totals import totals
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
