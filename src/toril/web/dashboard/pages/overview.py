"""The overview: what needs a person first, then how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from toril.engine.history import HistoryPoint, HistorySeries
from toril.web.dashboard.histories import (
    SPAN_WORDS,
    SPANS,
    added_up,
    has_ended,
    histories,
    merged,
)
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.recent_operations import recent_operations
from toril.web.dashboard.visit import Visit
from toril.web.routes.store import get_overview

PAGE = Page(
    name="overview",
    path="/",
    title=N_("Overview"),
    nav=Nav(label=N_("Overview"), order=10, key="o"),
    scripts=("vendor/uPlot-1.6.32.iife.min.js", "charts.js"),
    styles=("vendor/uPlot-1.6.32.min.css", "charts.css", "overview.css"),
)

CONCERNS = 8
"""Shown at once; the others behind a click."""
RANKED = 5


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the figures of all queues, and what they did in a span."""
    span = visit.choice("span", SPANS, "1h")
    facts, operations = await asyncio.gather(
        visit.ask(get_overview), recent_operations(visit, RANKED)
    )
    names = [info.name for info in facts.queues if has_ended(info)]
    series = await histories(visit, names, span)
    points = await added_up(visit, series, span)
    step_s = SPANS[span][1]
    total = merged(points) if points else None
    return {
        "facts": facts,
        "concerns": facts.attention,
        "most_concerns": CONCERNS,
        "spans": SPANS,
        "span": span,
        "span_words": visit.t(SPAN_WORDS[span]),
        "points": points,
        "rates": [
            (one.at, *(many * 60 / step_s for many in (one.completed, one.failed, one.retried)))
            for one in points
        ],
        "waits": [
            (one.at, one.wait.p50_s, one.wait.p95_s, one.wait.p99_s, one.oldest_waiting_s)
            for one in points
        ],
        "total": total,
        "busiest": _ranked(series, lambda one: one.total.completed + one.total.failed),
        "failing": _ranked(series, lambda one: one.total.failed),
        "slowest": _ranked(series, lambda one: one.total.run.p95_s or 0),
        "operations": operations,
        "paused": {info.name for info in facts.queues if info.paused},
        "lately": _lately(points, step_s),
    }


def _ranked(series: dict[str, HistorySeries], by: Any) -> list[tuple[str, HistorySeries]]:
    found = [(name, one) for name, one in series.items() if by(one)]
    return sorted(found, key=lambda pair: (-by(pair[1]), pair[0]))[:RANKED]


def _lately(points: Sequence[HistoryPoint], step_s: float) -> tuple[float, float]:
    """Return how many jobs completed and failed a minute, in the last steps of ten minutes."""
    some = points[-max(1, round(600 / step_s)) :]
    minutes = max(1.0, len(some) * step_s / 60)
    return sum(p.completed for p in some) / minutes, sum(p.failed for p in some) / minutes
