"""Turns the answers of a server into the records that commands print."""

from __future__ import annotations

from typing import Any

from toril.client import AsyncClient
from toril.core.codec import decode
from toril.core.reading import RawText
from toril.engine.flow_tree import FlowNode
from toril.engine.history import Durations, HistoryPoint, HistorySeries
from toril.engine.info import AttemptInfo, JobInfo, WorkerInfo
from toril.engine.letter_info import LetterInfo
from toril.engine.states import State
from toril.rest.answers import (
    DurationFacts,
    FlowFacts,
    HistoryFacts,
    JobFacts,
    JobLine,
    LetterLine,
    PointFacts,
    Value,
    WorkerFacts,
)


async def attempts_page(client: AsyncClient, queue: str, job_id: str) -> list[AttemptInfo]:
    """Return the attempts of a job that have ended."""
    return (await client.list_attempts(queue, job_id)).items


def job_of_facts(
    facts: JobFacts, data: Value | None, result: Value | None, attempts: list[AttemptInfo]
) -> JobInfo:
    """Return a job whole. None: the key may not see what it carries."""
    return JobInfo(
        id=facts.id,
        queue=facts.queue,
        name=facts.name,
        state=facts.state,
        data=_value(data),
        data_bytes=facts.data_bytes,
        options=facts.options,
        max_attempts=facts.max_attempts,
        priority=facts.priority,
        deduplication_id=facts.deduplication_id,
        created_at=facts.created_at,
        delay_s=facts.delay_s,
        run_at=facts.run_at,
        attempts_made=facts.attempts_made,
        attempts_started=facts.attempts_started,
        stalled=facts.stalled,
        progress=facts.progress,
        result=_value(result),
        failed_reason=facts.failed_reason,
        processed_at=facts.processed_at,
        finished_at=facts.finished_at,
        worker_id=facts.worker_id,
        lease_remaining_s=facts.lease_remaining_s,
        cancel_reason=facts.cancel_reason,
        attempts=attempts,
        parent_queue=facts.parent_queue,
        parent_id=facts.parent_id,
    )


def job_of_line(line: JobLine) -> JobInfo:
    """Return a job of a list. A long payload or result is its beginning only."""
    return JobInfo(
        id=line.id,
        queue=line.queue,
        name=line.name,
        state=line.state,
        data=_preview(line.data_preview),
        data_bytes=line.data_bytes,
        options=line.options,
        max_attempts=line.max_attempts,
        priority=line.priority,
        deduplication_id=line.deduplication_id,
        created_at=line.created_at,
        delay_s=line.delay_s,
        run_at=line.run_at,
        attempts_made=line.attempts_made,
        attempts_started=line.attempts_started,
        stalled=line.stalled,
        progress=0 if line.progress is None else _preview(line.progress),
        result=_preview(line.result_preview),
        failed_reason=line.failed_reason,
        processed_at=line.processed_at,
        finished_at=line.finished_at,
        worker_id=line.worker_id,
        lease_remaining_s=line.lease_remaining_s,
        cancel_reason=line.cancel_reason,
        attempts=[],
        parent_queue=line.parent_queue,
        parent_id=line.parent_id,
    )


def letter_of_line(line: LetterLine) -> LetterInfo:
    """Return a letter of a list. A long payload is its beginning only."""
    return LetterInfo(
        id=line.id,
        queue=line.letters,
        state=State.WAIT,
        original_queue=line.original_queue,
        original_job_id=line.original_job_id,
        task=line.task,
        data=_preview(line.data_preview),
        options=None,
        failed_reason=line.failed_reason,
        attempts_made=line.attempts_made,
        failed_at=line.failed_at,
        redriven_at=line.redriven_at,
        stacktrace=[],
        attempts=[],
    )


def worker_of(facts: WorkerFacts) -> WorkerInfo:
    """Return a worker. What the key may not see counts as 0."""
    return WorkerInfo(
        id=facts.id,
        host=facts.host,
        pid=facts.pid,
        queues=facts.queues,
        concurrency=facts.concurrency or 0,
        running=facts.running or 0,
        started_at=facts.started_at,
        beat_age_s=facts.beat_age_s,
        quiet=facts.quiet,
        paused=facts.paused,
        resident_bytes=facts.resident_bytes or 0,
        version=facts.version,
        tasks=facts.tasks,
    )


def flow_tree(facts: FlowFacts) -> FlowNode:
    """Return the root of a flow with everything below it."""
    nodes: dict[tuple[str, str], FlowNode] = {}
    root: FlowNode | None = None
    for one in facts.nodes:
        node = FlowNode(
            queue=one.queue,
            id=one.id,
            key=one.key,
            name=one.name,
            state=one.state,
            fate=one.fate,
            failed_reason=one.failed_reason,
            cut=one.cut,
        )
        parent = nodes.get((one.parent_queue or "", one.parent_id or ""))
        if parent is not None:
            parent.children.append(node)
        elif root is None:
            root = node
        nodes.setdefault((one.queue, one.id), node)
    assert root is not None  # noqa: S101 - the server sends the root first
    return root


def history_series(facts: HistoryFacts) -> HistorySeries:
    """Return a history that was asked for with its buckets."""
    return HistorySeries(
        queue=facts.queue,
        task=facts.task,
        step_s=facts.step_s,
        tasks=facts.tasks,
        points=[_history_point(one) for one in facts.points],
        total=_history_point(facts.total),
    )


def _history_point(facts: PointFacts) -> HistoryPoint:
    return HistoryPoint(
        at=facts.at,
        completed=facts.completed,
        failed=facts.failed,
        retried=facts.retried,
        wait=_durations(facts.wait),
        run=_durations(facts.run),
        oldest_waiting_s=facts.oldest_waiting_s,
    )


def _durations(facts: DurationFacts) -> Durations:
    return Durations(
        count=facts.count,
        sum_s=facts.sum_s,
        buckets={one.up_to_s: one.count for one in facts.buckets or ()},
    )


def _value(value: Value | None) -> Any:
    if value is None:
        return None
    return value.value if value.text is None else RawText(value.text)


def _preview(text: str | None) -> Any:
    """Return what a preview holds, if it is all of it; else the preview."""
    if text is None:
        return None
    try:
        return decode(text)
    except ValueError:
        return RawText(text)
