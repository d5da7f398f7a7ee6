"""Frees the de-duplication id of a job that ends, and adds the job that was put aside for it."""

from __future__ import annotations

from typing import Any

from toril.backends.sqlite.adding import add_jobs
from toril.backends.sqlite.deduplication import NO_END, read_aside
from toril.backends.sqlite.lookup import find
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.transaction import Transaction
from toril.core.reading import read_object, whole
from toril.engine.deduplication import Aside
from toril.engine.job import NewJob
from toril.engine.options import MAX_PRIORITY


def let_go(transaction: Transaction, row: QueueRow, number: int) -> None:
    """Free the id of a job that has finished, unless it is held for a time.

    A job that was put aside for it is added now, and holds the id from then on.
    """
    if not row.deduplicates:
        return
    held = transaction.run("deduplications_held", f"[{number}]", row.id)
    for _, deduplication_id, ends_ms, text, *_ in held:
        if ends_ms is not None and text is None:
            continue
        transaction.run("deduplication_release", row.id, deduplication_id)
        aside = None if text is None else read_aside(text)
        if aside is not None:
            _add(transaction, row, deduplication_id, aside)


def _add(transaction: Transaction, row: QueueRow, deduplication_id: str, aside: Aside) -> None:
    """Add a job that was put aside: it has the id that its producer was not told of."""
    (answer,) = add_jobs(transaction, [_new_job(aside, row.name)])
    if answer.duplicate:  # somebody else's job has this id meanwhile
        return
    found = find(transaction, row.id, aside.job_id)
    assert found is not None  # noqa: S101 - it was just added
    transaction.run(
        "deduplication_set",
        row.id,
        deduplication_id,
        found.number,
        found.id,
        None,
        None,
        *NO_END,
    )


def _new_job(aside: Aside, queue: str) -> NewJob:
    placing: dict[str, Any] = read_object(aside.opts)  # BullMQ's words, of a job from anywhere
    return NewJob(
        queue=queue,
        name=aside.name,
        data=aside.data,
        opts=aside.opts,
        job_id=aside.job_id,
        delay_ms=max(0, whole(placing.get("delay"))) if aside.run_at_ms is None else 0,
        run_at_ms=aside.run_at_ms,
        priority=max(0, min(whole(placing.get("priority")), MAX_PRIORITY)),
        lifo=placing.get("lifo") is True,
    )
