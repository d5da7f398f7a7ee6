"""Reads what was written for Prometheus back into figures, for who has asked a server for them."""

from __future__ import annotations

from typing import Any

from toril.core.errors import MissingExtraError
from toril.observability.prometheus import Metric, MetricSample


def metrics_in(text: str) -> list[Metric]:
    """Return the metrics of a text: counters, gauges and histograms; others are left out.

    Raises:
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        raise MissingExtraError(
            "figures for Prometheus need prometheus-client: pip install 'toril[metrics]'"
        ) from None
    found: list[Metric] = []
    family: Any
    for family in text_string_to_metric_families(text):
        if family.type in ("counter", "gauge", "histogram"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            samples = _histograms(family) if family.type == "histogram" else _plain(family, name)
            found.append(Metric(name, family.type, family.documentation, samples))
    return found


def _plain(family: Any, name: str) -> list[MetricSample]:
    return [
        MetricSample(sample.labels, sample.value)
        for sample in family.samples
        if sample.name == name  # and not when a counter was made
    ]


def _histograms(family: Any) -> list[MetricSample]:
    sums: dict[frozenset[tuple[str, str]], float] = {}
    buckets: dict[frozenset[tuple[str, str]], dict[str, float]] = {}
    for sample in family.samples:
        labels = {label: value for label, value in sample.labels.items() if label != "le"}
        which = frozenset(labels.items())
        if sample.name == f"{family.name}_bucket":
            buckets.setdefault(which, {})[sample.labels["le"]] = sample.value
        elif sample.name == f"{family.name}_sum":
            sums[which] = sample.value
    return [
        MetricSample(dict(which), sums.get(which, 0.0), found) for which, found in buckets.items()
    ]
