"""What a queue did: charts of a span, of all its tasks or of one."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.bodies import HistoryQuery
from toril.web.dashboard.histories import SPAN_WORDS, SPANS, histories
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit
from toril.web.routes.history import get_history

PAGE = Page(
    name="queue_metrics",
    path="/queues/{queue}/metrics",
    title=N_("Metrics"),
    under="queues",
    tab=Tab(of="queue", label=N_("Metrics"), order=30),
    scripts=("vendor/uPlot-1.6.32.iife.min.js", "charts.js"),
    styles=("queue.css", "vendor/uPlot-1.6.32.min.css", "charts.css"),
)
MOST_TASKS = 12
"""Tasks that have a row of their own."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the history of a queue, and of its tasks."""
    queue = visit.parts["queue"]
    span = visit.choice("span", SPANS, "6h")
    since_s, step_s = SPANS[span]
    head, whole = await asyncio.gather(
        queue_head(visit),
        visit.ask(get_history, queue=queue, query=HistoryQuery(since_s=since_s, step_s=step_s)),
    )
    task = visit.choice("task", whole.tasks, "")
    names = [name for name in whole.tasks if not task or name == task][:MOST_TASKS]
    read = await asyncio.gather(*(histories(visit, [queue], span, task=name) for name in names))
    by_task = [
        (name, found[queue].total)
        for name, found in zip(names, read, strict=True)
        if queue in found
    ]
    facts = whole
    if task:
        facts = await visit.ask(
            get_history, queue=queue, query=HistoryQuery(since_s=since_s, step_s=step_s, task=task)
        )
    per_min = 60 / step_s
    return {
        **head,
        "spans": SPANS,
        "span": span,
        "span_words": visit.t(SPAN_WORDS[span]),
        "task": task,
        "tasks": whole.tasks,
        "by_task": sorted(by_task, key=lambda pair: -(pair[1].completed + pair[1].failed)),
        "history": facts,
        "rates": [
            (p.at, *(many * per_min for many in (p.completed, p.failed, p.retried)))
            for p in facts.points
        ],
        "waits": [
            (p.at, p.wait.p50_s, p.wait.p95_s, p.wait.p99_s, p.oldest_waiting_s)
            for p in facts.points
        ],
        "runs": [(p.at, p.run.p50_s, p.run.p95_s, p.run.p99_s) for p in facts.points],
        "shares": [
            (p.at, 100 * p.failed / (p.completed + p.failed) if p.completed + p.failed else None)
            for p in facts.points
        ],
    }
