"""Turns a script's answer into the engine's records. Never raises, whatever a job's fields hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.redis import flow_records, traces
from toril.core.reading import read_object, whole
from toril.engine.deduplication import Aside, HeldId
from toril.engine.job import MAX_HISTORY, Attempt, Claimed, JobRecord
from toril.engine.states import State


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
            queue,
            token,
            started_ms,
        )
        for name, data, opts, started, made, timestamp, failure, job_id in rows
    ]


def job(row: Sequence[Any], queue: str) -> JobRecord:
    """Return a job from a row of `read_job.lua` or `page.lua`."""
    state = State(row[21])
    processed_ms = None if row[12] is None else whole(row[12])
    finished_ms = None if row[13] is None else whole(row[13])
    started = whole(row[7])
    attempts, trace_of_node = history(row[17], row[18])
    ended = processed_ms is not None and finished_ms is not None
    last = (attempts[-1].number, attempts[-1].started_ms) if attempts else None
    if ended and last != (started, processed_ms):  # a number alone may come again after a retry
        # A success is not written twice, and a Node worker writes no history.
        attempts.append(
            Attempt(
                number=started,
                started_ms=processed_ms or 0,
                ended_ms=finished_ms or 0,
                worker_id=row[14] or "",
                outcome=state.value,
                error=row[11] if state is State.FAILED else None,
                traceback=trace_of_node if state is State.FAILED else None,
            )
        )
        del attempts[:-MAX_HISTORY]
    return JobRecord(
        id=row[20],
        queue=queue,
        name=row[0],
        state=state,
        data=row[1] or "{}",
        opts=row[2] or "{}",
        priority=whole(row[3]),
        timestamp_ms=whole(row[4]),
        delay_ms=whole(row[5]),
        run_at_ms=None if row[22] is None else whole(row[22]),
        attempts_made=whole(row[6]),
        attempts_started=started,
        stalled=whole(row[8]),
        progress=row[9] or "0",
        result=row[10],
        failed_reason=None if state is State.COMPLETED else row[11],
        processed_on_ms=processed_ms,
        finished_on_ms=finished_ms,
        worker_id=row[14],
        lease_remaining_ms=None if row[23] is None else whole(row[23]),
        deferred_failure=row[15],
        cancel_reason=row[16],
        attempts=attempts,
        data_bytes=len((row[1] or "{}").encode()),
        parent=None if row[19] is None else flow_records.parent(row[19]),
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
