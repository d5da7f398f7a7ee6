"""Reads the answers of scripts into the engine's records. Never raises, whatever a job holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from toril.backends.redis import flow_records, traces
from toril.core.reading import read_object, whole
from toril.engine.deduplication import Aside, HeldId
from toril.engine.job import Attempt, Claimed, JobRecord, with_last_attempt
from toril.engine.states import State


class JobRow(NamedTuple):
    """A job as `lua/lib/read_job.lua` returns it. A field that the hash lacks is None."""

    name: str
    data: str | None
    opts: str | None
    priority: Any
    timestamp: Any
    delay: Any
    attempts_made: Any
    attempts_started: Any
    stalled: Any
    progress: str | None
    result: str | None
    failed_reason: str | None
    processed_on: Any
    finished_on: Any
    worker_id: str | None
    deferred_failure: str | None
    cancel_reason: str | None
    history: str | None
    traces: str | None
    parent: str | None
    id: str
    state: str
    run_at_ms: Any
    lease_remaining_ms: Any


def claimed(
    rows: Sequence[Sequence[Any]], queue: str, token: str, started_ms: int
) -> list[Claimed]:
    """Return the jobs of one claim from rows of `exchange.lua`."""
    return [
        Claimed(
            job_id,
            job_id,
            name,
            data or "{}",
            opts or "{}",
            whole(started),
            0 if made is None else whole(made),
            whole(timestamp),
            failure,
            _ready_ms(ready[0], whole(started)) if ready else None,
            queue,
            token,
            started_ms,
        )
        for name, data, opts, started, made, timestamp, failure, job_id, *ready in rows
    ]


def _ready_ms(text: str, started: int) -> int | None:
    """Return since when a job could start, from `toril:ready`; None if it says so of another start.

    Parameters:
        text: How often the job had been started by then, a colon, and the moment in ms; -1: it is
            not known.
        started: How often it has been started by now.
    """
    before, _, ready = text.partition(":")
    if before != str(started - 1):
        return None
    return -1 if ready == "-1" else whole(ready)


def job(values: Sequence[Any], queue: str) -> JobRecord:
    """Return a job from a row of `read_job.lua` or `page.lua`."""
    row = JobRow(*values)
    state = State(row.state)
    processed_ms = None if row.processed_on is None else whole(row.processed_on)
    finished_ms = None if row.finished_on is None else whole(row.finished_on)
    started = whole(row.attempts_started)
    attempts, trace_of_node = history(row.history, row.traces)
    if processed_ms is not None and finished_ms is not None:
        has_failed = state is State.FAILED
        last = Attempt(
            number=started,
            started_ms=processed_ms,
            ended_ms=finished_ms,
            worker_id=row.worker_id or "",
            outcome=state.value,
            error=row.failed_reason if has_failed else None,
            traceback=trace_of_node if has_failed else None,
        )
        attempts = with_last_attempt(attempts, last)
    return JobRecord(
        id=row.id,
        queue=queue,
        name=row.name,
        state=state,
        data=row.data or "{}",
        opts=row.opts or "{}",
        priority=whole(row.priority),
        timestamp_ms=whole(row.timestamp),
        delay_ms=whole(row.delay),
        run_at_ms=None if row.run_at_ms is None else whole(row.run_at_ms),
        attempts_made=whole(row.attempts_made),
        attempts_started=started,
        stalled=whole(row.stalled),
        progress=row.progress or "0",
        result=row.result,
        failed_reason=None if state is State.COMPLETED else row.failed_reason,
        processed_on_ms=processed_ms,
        finished_on_ms=finished_ms,
        worker_id=row.worker_id,
        lease_remaining_ms=None
        if row.lease_remaining_ms is None
        else whole(row.lease_remaining_ms),
        deferred_failure=row.deferred_failure,
        cancel_reason=row.cancel_reason,
        attempts=attempts,
        data_bytes=len((row.data or "{}").encode()),
        parent=None if row.parent is None else flow_records.parent(row.parent),
    )


def history(lines: str | None, traces_text: str | None) -> tuple[list[Attempt], str | None]:
    """Return a job's attempts, oldest first, each with its stack trace if one is kept.

    And the newest trace, if none of them has it.
    """
    attempts: list[Attempt] = []
    marks: list[str | bool] = []
    for line in lines.split("\n") if lines else ():
        ended, _, text = line.partition(" ")
        fields = read_object(text)
        mark = fields.pop("traced", False)
        try:
            attempts.append(msgspec.convert({**fields, "endedMs": whole(ended)}, Attempt))
        except msgspec.ValidationError:  # somebody else's line
            continue
        marks.append(mark if isinstance(mark, str | bool) else False)
    return attempts, traces.assign(attempts, marks, traces.read(traces_text))


def held(row: Sequence[Any]) -> HeldId | None:
    """Return the de-duplication id that a job holds, from `read_held.lua`."""
    if not row:
        return None
    aside = None
    if row[2] is not None:
        name, data, opts, job_id, run_at_ms = row[2]
        aside = Aside(
            job_id or "",
            name,
            data or "{}",
            opts or "{}",
            None if run_at_ms is None else whole(run_at_ms),
        )
    return HeldId(row[0], row[1], aside)
