"""Adds the rows of one queue to the store, and says what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from toril.core.errors import BackendError
from toril.engine.contract import Relaying
from toril.engine.contract.relaying import MarkedJob
from toril.outbox.rows import Row, job_of

MAX_CALL_BYTES = 4 * 2**20
"""Payloads of one call of the store, unless a single one is larger."""


@dataclass(slots=True)
class Batch:
    """What became of some rows."""

    added: list[Row] = field(default_factory=list)
    """The store has their jobs: they may go."""
    refused: list[tuple[Row, str]] = field(default_factory=list)
    """The store will never take them, and why."""
    problem: BackendError | None = None
    """Why the rest is to be tried again."""


async def add_rows(
    store: Relaying, queue: str, rows: Sequence[Row], *, forget: Sequence[str]
) -> Batch:
    """Add the jobs of rows of one queue, in order. Never raises for a row or for the store."""
    batch = Batch()
    jobs: list[tuple[Row, MarkedJob]] = []
    for row in rows:
        try:
            jobs.append((row, MarkedJob(row.row_id, job_of(row))))
        except Exception as error:  # whatever stands in a row stops no other one
            batch.refused.append((row, _reason(error)))
    try:
        for part in _parts(jobs):
            await _add_part(store, queue, part, forget, batch)
            forget = ()
    except BackendError as error:
        batch.problem = error
    return batch


async def _add_part(
    store: Relaying,
    queue: str,
    part: Sequence[tuple[Row, MarkedJob]],
    forget: Sequence[str],
    batch: Batch,
) -> None:
    try:
        await store.add(queue, [job for _, job in part], forget=forget)
    except BackendError:
        raise
    except Exception as error:
        if len(part) == 1:
            batch.refused.append((part[0][0], _reason(error)))
            return
        # One of them cannot be stored: each on its own, so that only that one is refused.
        for one in part:
            await _add_part(store, queue, [one], forget, batch)
            forget = ()
    else:
        batch.added += [row for row, _ in part]


def _parts(
    jobs: Sequence[tuple[Row, MarkedJob]],
) -> Iterator[Sequence[tuple[Row, MarkedJob]]]:
    part: list[tuple[Row, MarkedJob]] = []
    size = 0
    for row, job in jobs:
        if part and size + len(row.data) > MAX_CALL_BYTES:
            yield part
            part, size = [], 0
        part.append((row, job))
        size += len(row.data)
    if part:
        yield part


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
