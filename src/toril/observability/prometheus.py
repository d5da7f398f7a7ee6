"""Formats the figures of a store for Prometheus.

`bullmq_…` are BullMQ's names and labels, so that one dashboard shows the queues of both; `toril_…`
are ours. Pure: the caller has read the figures (`figures.py`). The text is made by
prometheus-client, which only who wants the text has to have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from toril.core.errors import InvalidOptionError
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.tally import Tally, bucket_end_ms
from toril.fallback.info import StoreState
from toril.observability.figures import Figures

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of the text."""
EDGES_MS = tuple(2**power for power in range(0, 25, 2))
"""The ends of the histograms' buckets: 1 ms to 4.7 hours, each four times the one before."""


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One figure; or one histogram."""

    labels: Mapping[str, str]
    value: float
    """A histogram's sum."""
    buckets: Mapping[str, float] = field(default_factory=dict)
    """Of a histogram: `le` to how many were not above it; the last one is `+Inf`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """All figures of one name."""

    name: str
    """As Prometheus shows it. A counter's ends in `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[MetricSample]


def metrics(figures: Figures) -> list[Metric]:
    """Return what there is to say of queues, and of the workers that are alive."""
    return [
        *bullmq_metrics(figures.queues),
        *queue_metrics(figures.queues),
        *worker_metrics(figures.queues, figures.workers),
        *history_metrics(figures.tallies),
        *store_metrics(figures.store),
        Metric(
            "toril_dead_letters",
            "gauge",
            "Letters in the dead-letter queue",
            [MetricSample({"queue": name}, many) for name, many in sorted(figures.letters.items())],
        ),
        Metric(
            "toril_schedule_lag_seconds",
            "gauge",
            "How late the schedule of the queue is that is late the most; 0 if none is",
            [
                MetricSample({"queue": name}, lag_s)
                for name, lag_s in sorted(figures.lags_s.items())
            ],
        ),
    ]


def bullmq_metrics(queues: Sequence[QueueInfo]) -> list[Metric]:
    """Return what BullMQ tells of its queues, too."""
    return [
        Metric("bullmq_job_count", "gauge", "Jobs in the queue, by state", _by_state(queues)),
        Metric(
            "bullmq_job_completed_total",
            "counter",
            "Jobs that completed since the queue began",
            [MetricSample({"queue": info.name}, info.completed_total) for info in queues],
        ),
        Metric(
            "bullmq_job_failed_total",
            "counter",
            "Jobs that failed for good since the queue began",
            [MetricSample({"queue": info.name}, info.failed_total) for info in queues],
        ),
    ]


def queue_metrics(queues: Sequence[QueueInfo]) -> list[Metric]:
    """Return what else an operator should watch of queues."""
    return [
        Metric("toril_queue_jobs", "gauge", "Jobs in the queue, by state", _by_state(queues)),
        Metric(
            "toril_oldest_waiting_seconds",
            "gauge",
            "Age of the job that is next in line; 0 if none waits",
            [MetricSample({"queue": info.name}, info.oldest_waiting_s or 0.0) for info in queues],
        ),
        Metric(
            "toril_queue_paused",
            "gauge",
            "Whether the queue is paused, 1 or 0",
            [MetricSample({"queue": info.name}, int(info.paused)) for info in queues],
        ),
    ]


def worker_metrics(queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo]) -> list[Metric]:
    """Return what there is to say of live workers."""
    serving = Counter(name for worker in workers for name in set(worker.queues))
    if not queues and not workers:
        return []
    return [
        Metric(
            "toril_workers",
            "gauge",
            "Workers of Toril that serve the queue and are alive",
            [MetricSample({"queue": info.name}, serving[info.name]) for info in queues],
        ),
        Metric(
            "toril_worker_slots",
            "gauge",
            "Jobs that all live workers can run at once",
            [MetricSample({}, sum(worker.concurrency for worker in workers))],
        ),
        Metric(
            "toril_busy_slots",
            "gauge",
            "Jobs that all live workers run, as they have last said",
            [MetricSample({}, sum(worker.running for worker in workers))],
        ),
    ]


def history_metrics(tallies: Mapping[str, Mapping[str, Tally]]) -> list[Metric]:
    """Return totals and histograms from the history: of queues whose history is written."""
    each = [
        ({"queue": queue, "task": task}, tally)
        for queue, tasks in tallies.items()
        for task, tally in tasks.items()
    ]
    return [
        Metric(
            "toril_jobs_total",
            "counter",
            "Attempts that ended, by outcome: completed, failed for good, retried",
            [
                MetricSample({**labels, "outcome": outcome}, getattr(tally, outcome))
                for labels, tally in each
                for outcome in ("completed", "failed", "retried")
            ],
        ),
        Metric(
            "toril_job_duration_seconds",
            "histogram",
            "How long attempts ran",
            [_histogram(labels, tally.runs, tally.run_ms) for labels, tally in each],
        ),
        Metric(
            "toril_job_wait_seconds",
            "histogram",
            "How long jobs waited from when they could run until they were started",
            [_histogram(labels, tally.waits, tally.wait_ms) for labels, tally in each],
        ),
    ]


def store_metrics(state: StoreState | None) -> list[Metric]:
    """Return which store is live in this process; nothing of an app without a fallback store."""
    if state is None:
        return []
    return [
        Metric(
            "toril_store_live",
            "gauge",
            "1 for the store that new jobs go to, of this process",
            [MetricSample({"store": one}, one == state.live) for one in ("redis", "spool")],
        ),
        Metric(
            "toril_store_switches_total",
            "counter",
            "Changes from one store to the other, of this process",
            [
                MetricSample({"from": source, "to": target}, many)
                for (source, target), many in sorted(state.switches.items())
            ],
        ),
        Metric(
            "toril_spool_jobs",
            "gauge",
            "Jobs in the spool that have not moved to Redis yet",
            [MetricSample({}, state.to_move)],
        ),
    ]


def exposition(found: Iterable[Metric | Family]) -> str:
    """Return metrics as text for Prometheus; a name without figures is left out.

    Parameters:
        found: Ours, or families of prometheus-client.

    Raises:
        InvalidOptionError: Two have the same name, or a name or label that Prometheus refuses.
        MissingExtraError: prometheus-client is not installed.
    """
    try:
        from prometheus_client.exposition import generate_latest
    except ImportError:
        from toril.core.extras import missing_extra

        raise missing_extra("figures for Prometheus need prometheus-client", "metrics") from None
    families: dict[str, Family] = {}
    for metric in found:
        try:
            family = _family(metric) if isinstance(metric, Metric) else metric
        except ValueError as error:
            raise InvalidOptionError(f"metric {metric.name!r}: {error}") from None
        if family.name in families:
            raise InvalidOptionError(
                f"metric {metric.name!r}: there are two of this name; give one another"
            )
        if family.samples:
            families[family.name] = family
    return generate_latest(_Collected(list(families.values()))).decode()


class _Collected:
    """Families that were collected already, as a collector."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        yield from self._families


def _family(metric: Metric) -> Family:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    names = sorted({name for sample in metric.samples for name in sample.labels})
    kinds: dict[str, Any] = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    family: Any = kinds[metric.kind](metric.name, metric.help, labels=names)
    for sample in metric.samples:
        values = [sample.labels.get(name, "") for name in names]
        if metric.kind == "histogram":
            family.add_metric(values, list(sample.buckets.items()), sum_value=sample.value)
        else:
            family.add_metric(values, sample.value)
    checked: Family = family
    return checked


def _histogram(
    labels: Mapping[str, str], buckets: Mapping[int, int], sum_ms: float
) -> MetricSample:
    """Return a tally's histogram with fewer buckets, each of which ends where one of those does."""
    found: dict[str, float] = {}
    for edge_ms in EDGES_MS:
        many = sum(count for bucket, count in buckets.items() if bucket_end_ms(bucket) <= edge_ms)
        found[repr(edge_ms / 1000)] = many
    found["+Inf"] = sum(buckets.values())
    return MetricSample(labels, sum_ms / 1000, found)


def _by_state(queues: Sequence[QueueInfo]) -> list[MetricSample]:
    return [
        MetricSample({"queue": info.name, "state": state}, many)
        for info in queues
        for state, many in _counts(info)
    ]


def _counts(info: QueueInfo) -> list[tuple[str, int]]:
    """Return BullMQ's words for states and how many there are, in its order."""
    return [
        ("active", info.active),
        ("completed", info.completed),
        ("delayed", info.delayed),
        ("failed", info.failed),
        ("prioritized", info.prioritized),
        ("waiting", info.waiting),
        ("waiting-children", info.waiting_children),
    ]
