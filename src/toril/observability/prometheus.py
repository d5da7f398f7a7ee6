"""Formats the figures of queues for Prometheus.

The first three have BullMQ's names and labels, so that one dashboard shows the queues of both; all
others have names of our own. Pure: the caller has read the figures.

Source:
    Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from toril.engine.info import QueueInfo, WorkerInfo


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure."""

    labels: dict[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """All figures of one name."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    samples: list[Sample]


def metrics(queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo]) -> list[Metric]:
    """Return what there is to say of queues, and of the workers that are alive."""
    return [*bullmq_metrics(queues), *own_metrics(queues, workers)]


def bullmq_metrics(queues: Sequence[QueueInfo]) -> list[Metric]:
    """Return what BullMQ tells of its queues, too."""
    return [
        Metric(
            "bullmq_job_count",
            "gauge",
            "Jobs in the queue, by state",
            [
                Sample({"queue": info.name, "state": state}, many)
                for info in queues
                for state, many in _counts(info)
            ],
        ),
        Metric(
            "bullmq_job_completed_total",
            "counter",
            "Jobs that completed since the queue began",
            [Sample({"queue": info.name}, info.completed_total) for info in queues],
        ),
        Metric(
            "bullmq_job_failed_total",
            "counter",
            "Jobs that failed for good since the queue began",
            [Sample({"queue": info.name}, info.failed_total) for info in queues],
        ),
    ]


def own_metrics(queues: Sequence[QueueInfo], workers: Sequence[WorkerInfo]) -> list[Metric]:
    """Return what else an operator should watch."""
    serving = Counter(name for worker in workers for name in set(worker.queues))
    return [
        Metric(
            "toril_oldest_waiting_seconds",
            "gauge",
            "Age of the job that is next in line; 0 if none waits",
            [Sample({"queue": info.name}, info.oldest_waiting_s or 0.0) for info in queues],
        ),
        Metric(
            "toril_queue_paused",
            "gauge",
            "Whether the queue is paused, 1 or 0",
            [Sample({"queue": info.name}, int(info.paused)) for info in queues],
        ),
        Metric(
            "toril_workers",
            "gauge",
            "Workers of Toril that serve the queue and are alive",
            [Sample({"queue": info.name}, serving[info.name]) for info in queues],
        ),
    ]


def exposition(found: Iterable[Metric]) -> str:
    """Return metrics as text for Prometheus; a name without figures is left out."""
    lines: list[str] = []
    for metric in found:
        if metric.samples:
            lines.append(f"# HELP {metric.name} {_help(metric.help)}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
        for sample in metric.samples:
            labels = ", ".join(f'{name}="{_label(text)}"' for name, text in sample.labels.items())
            lines.append(f"{metric.name}{{{labels}}} {_number(sample.value)}")
    return "".join(f"{line}\n" for line in lines)


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


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _label(text: str) -> str:
    return _help(text).replace('"', r"\"")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
