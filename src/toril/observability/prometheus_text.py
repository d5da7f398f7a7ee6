"""Reads the text for Prometheus that `prometheus.py` has made, such as a server's answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal, cast

from toril.observability.prometheus import Metric, MetricSample

OURS = ("toril_", "bullmq_")
"""What our names begin with. Others are an application's own."""


def read_exposition(text: str, queues: Collection[str] = ()) -> list[Metric]:
    """Return our metrics of a text, without those that an application has added.

    Parameters:
        text: As the exposition format has it.
        queues: Only these, beside figures that are of no queue. Default: all.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        from prometheus_client.parser import text_string_to_metric_families as families
    except ImportError:
        from toril.core.extras import missing_extra

        raise missing_extra("figures for Prometheus need prometheus-client", "metrics") from None
    found = []
    for family in families(text):
        if family.name.startswith(OURS) and family.type in ("counter", "gauge", "histogram"):
            kind = cast("Literal['counter', 'gauge', 'histogram']", family.type)
            name = f"{family.name}_total" if kind == "counter" else family.name
            samples = [
                sample
                for sample in _samples(kind, name, family.samples)
                if not queues or sample.labels.get("queue", next(iter(queues))) in queues
            ]
            found.append(Metric(name, kind, family.documentation, samples))
    return found


def _samples(kind: str, name: str, lines: Iterable[Any]) -> list[MetricSample]:
    """Return a family's figures; the lines of a histogram are put together again."""
    if kind != "histogram":
        return [MetricSample(line.labels, line.value) for line in lines]
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    buckets: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for line in lines:
        labels = tuple((key, text) for key, text in line.labels.items() if key != "le")
        if line.name == f"{name}_bucket":
            buckets.setdefault(labels, {})[line.labels["le"]] = line.value
        elif line.name == f"{name}_sum":
            sums[labels] = line.value
    return [
        MetricSample(dict(labels), sums.get(labels, 0.0), found)
        for labels, found in buckets.items()
    ]
