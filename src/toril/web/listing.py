"""Lists of what a caller may see, as lines."""

from __future__ import annotations

from collections.abc import Iterable

from toril.engine.events import EventRecord
from toril.engine.info import JobInfo, WorkerInfo
from toril.rest.answers import Event, JobLine, WorkerFacts
from toril.web.call import Call
from toril.web.lines import event_of, job_line, worker_of


def job_lines(call: Call, jobs: Iterable[JobInfo]) -> list[JobLine]:
    """Return jobs as lines."""
    shown = map(call.sight.job, jobs)
    return [job_line(info, payloads=call.payloads) for info in shown if info is not None]


def event_list(call: Call, queue: str, events: Iterable[EventRecord]) -> list[Event]:
    """Return events of a queue."""
    shown = (call.sight.event(queue, event) for event in events)
    return [event_of(queue, event) for event in shown if event is not None]


def worker_list(call: Call, workers: Iterable[WorkerInfo]) -> list[WorkerFacts]:
    """Return workers."""
    shown = map(call.sight.worker, workers)
    return [worker_of(facts) for facts in shown if facts is not None]
