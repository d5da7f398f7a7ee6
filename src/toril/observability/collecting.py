"""Asks an application's own functions for their metrics."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from toril.core.loggers import logger
from toril.observability.figures import Figures
from toril.observability.prometheus import Metric

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Collector = Callable[[Figures], "Iterable[Any] | Awaitable[Iterable[Any]]"]
"""Makes metrics (`Metric`, or families of prometheus-client) of what was just read of the store."""

log = logger("toril.metrics")


async def collected(collectors: Sequence[Collector], figures: Figures) -> list[Metric | Family]:
    """Return the metrics of all functions; one that raises is left out, and the log says so."""
    found: list[Metric | Family] = []
    for collector in collectors:
        try:
            made = collector(figures)
            if inspect.isawaitable(made):
                made = await made
            found += list(made)
        except Exception:
            log.exception("the metrics of %r are missing", collector)
    return found
