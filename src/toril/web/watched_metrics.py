"""Figures of an application's queues for Prometheus, under the application's own names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from toril.app import App
from toril.core.errors import BackendError, JobNotFoundError
from toril.engine.handle import Job
from toril.observability.figures import Figures
from toril.observability.prometheus import (
    Metric,
    MetricSample,
    exposition,
    history_metrics,
    metrics,
)
from toril.web.watched_queues import WatchedQueue

STATUSES = ("completed", "failed")


@dataclass
class Meter:
    """The figures of one queue.

    `<prefix>_queue_size` counts jobs that wait, are prioritized or delayed; `<prefix>_jobs_total`
    jobs that ended, by `status`. With a `label` it counts by that, too: what ended since this
    process began, on workers of any kind. Without one it counts since the queue began.
    """

    prefix: str
    queue: WatchedQueue
    label: str | None = None
    """Also counted by this."""
    of: Callable[[Any], str] = str
    """The label's value, of a job's payload."""
    values: tuple[str, ...] = ()
    """Of the label: those that are shown from the beginning, with 0."""
    duration: bool = False
    """Whether there is `<prefix>_duration_seconds`, of each attempt."""
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.label is not None:
            for status in STATUSES:
                self.queue.on(status)(self._counting(status))  # type: ignore[arg-type]
                self._counts.update({(status, value): 0 for value in self.values})

    def _counting(self, status: str) -> Callable[[Job[Any], Any], Any]:
        async def count(job: Job[Any], _: Any) -> None:
            value = "unknown"
            with suppress(JobNotFoundError, BackendError):
                value = self.of((await job.info()).data)
            self._counts[(status, value)] += 1

        return count

    def made(self, figures: Figures) -> list[Metric]:
        """Return the metrics."""
        info = next((one for one in figures.queues if one.name == self.queue.name), None)
        size = 0 if info is None else info.waiting + info.prioritized + info.delayed
        if self.label is None:
            totals = {
                "completed": 0 if info is None else info.completed_total,
                "failed": 0 if info is None else info.failed_total,
            }
            ended = [MetricSample({"status": name}, many) for name, many in totals.items()]
        else:
            ended = [
                MetricSample({"status": status, self.label: value}, many)
                for (status, value), many in sorted(self._counts.items())
            ]
        found = [
            Metric(f"{self.prefix}_queue_size", "gauge", "Jobs to do", [MetricSample({}, size)]),
            Metric(f"{self.prefix}_jobs_total", "counter", "Jobs that ended for good", ended),
        ]
        if self.duration:
            found.append(self._durations(figures))
        return found

    def _durations(self, figures: Figures) -> Metric:
        """Return the durations of the queue's attempts, of all its tasks together."""
        own = {name: tasks for name, tasks in figures.tallies.items() if name == self.queue.name}
        samples = [
            sample
            for metric in history_metrics(own)
            if metric.name == "toril_job_duration_seconds"
            for sample in metric.samples
        ]
        buckets: Counter[str] = Counter()
        for sample in samples:
            buckets.update(sample.buckets)
        whole = MetricSample(
            {}, sum(sample.value for sample in samples), dict(buckets) or {"+Inf": 0}
        )
        name = f"{self.prefix}_duration_seconds"
        return Metric(name, "histogram", "How long attempts ran", [whole])


def switches_metric(name: str, counted: Mapping[tuple[str, str], int]) -> Metric:
    """Return how often the app changed from one store to the other, in Bull's words."""
    words = {"redis": "bull", "spool": "in-memory"}
    pairs = [("redis", "spool"), ("spool", "redis")]
    samples = [
        MetricSample({"from": words[source], "to": words[target]}, counted.get((source, target), 0))
        for source, target in pairs
    ]
    return Metric(name, "counter", "Changes from one store to the other", samples)


async def metrics_text(app: App, meters: Sequence[Meter], *, switches: str) -> str:
    """Return these figures, and Toril's own, for Prometheus.

    Parameters:
        app: Whose.
        meters: Of the application's queues.
        switches: What the counter of changes between stores is called.

    Raises:
        BackendError: The store cannot be read.
    """
    figures = await app.figures()
    state = await app.store_state()
    own = [metric for meter in meters for metric in meter.made(figures)]
    counted = {(str(source), str(target)): n for (source, target), n in state.switches.items()}
    return exposition([*own, switches_metric(switches, counted), *metrics(figures)])
