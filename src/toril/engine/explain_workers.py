"""Why no worker takes a job that may start: nobody serves it, a limit holds it, all are busy.

Pure. Read next: `explain.py`, which asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from toril.core.checks import nearest
from toril.core.clock import moment_or_none
from toril.engine.contract.workers import WorkerRecord
from toril.engine.explain_facts import Facts, is_silent
from toril.engine.explanation import Reason, ReasonKind, reason
from toril.engine.job import JobRecord
from toril.engine.states import State
from toril.engine.wording import command, cut, plural, span

SHOWN = 3
"""Jobs that one sentence names. The values of the reason have all that were read."""


def nobody(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    """Yield that no worker can run it, if so."""
    serving, able = facts.serving(), facts.able()
    if not serving:
        yield _no_worker(facts)
    elif not able:
        yield _no_task(facts, record, serving)
    elif all(one.quiet for one in able):
        yield reason(
            ReasonKind.STOPPING,
            f"No worker that could run it takes jobs any more: {_workers(able)} will end soon;"
            " start another one.",
            workers=[one.id for one in able],
        )
    elif all(one.quiet or one.paused for one in able):
        paused = [one for one in able if one.paused]
        verb = "is" if len(paused) == 1 else "are"
        yield reason(
            ReasonKind.WORKERS_PAUSED,
            f"No worker that could run it takes jobs now: {_workers(paused)} {verb} paused; tell"
            " it `resume` (`app.tell_worker`, `worker.resume()`), or start another one.",
            workers=[one.id for one in able],
        )


def _no_worker(facts: Facts) -> Reason:
    foreign = facts.foreign_workers
    silent = [one for one in facts.workers if facts.queue in one.queues]
    values = {
        "foreign_workers": foreign,
        "silent_workers": [one.id for one in silent],
    }
    if foreign:
        return reason(
            ReasonKind.FOREIGN_WORKERS,
            f"Only BullMQ serves the queue, with {plural(foreign, 'worker')}: which names they know"
            " and whether they are busy is not in the store; ask them.",
            **values,
        )
    known = {queue for one in facts.workers if not is_silent(one) for queue in one.queues}
    close = nearest(facts.queue, sorted(known))
    hint = f" (perhaps {close!r} is meant, which one serves)" if close else ""
    if silent:
        verb = "has" if len(silent) == 1 else "have"
        age = span(min(one.beat_age_ms for one in silent))
        hint = f"; {_workers(silent)} did, and {verb} been silent for {age}{hint}"
    unknown = "" if foreign is not None else " (whether BullMQ does, this user may not ask)"
    return reason(
        ReasonKind.NO_WORKER,
        f"No live worker serves queue {facts.queue!r}{unknown}{hint}; start one with `toril worker"
        " MODULE:APP`.",
        **values,
        nearest=close,
    )


def _no_task(facts: Facts, record: JobRecord, serving: Sequence[WorkerRecord]) -> Reason:
    here = {name for one in serving for name in (one.tasks or {}).get(facts.queue, [])}
    elsewhere = sorted(
        queue
        for one in facts.workers
        if not is_silent(one)
        for queue, names in (one.tasks or {}).items()
        if record.name in names
    )
    close = nearest(record.name, sorted(here))
    foreign = facts.foreign_workers
    if close:
        hint = f" (the nearest is {close!r})"
    elif elsewhere:
        hint = f" (those of queue {elsewhere[0]!r} have it)"
    else:
        hint = ""
    others = f"; {plural(foreign, 'worker')} of BullMQ may have it" if foreign else ""
    return reason(
        ReasonKind.NO_TASK,
        f"The queue's live workers ({len(serving):,}) have no task {cut(record.name)!r}{hint}:"
        f" one that takes the job puts it back, and fails it after a day unless its app says"
        f" otherwise{others}; deploy the task, or add the job by its right name.",
        name=record.name,
        nearest=close,
        other_queues=elsewhere,
        workers=[one.id for one in serving],
        foreign_workers=foreign,
    )


def limits(facts: Facts) -> Iterator[Reason]:
    """Yield what lets no job of the queue start now, though workers serve it."""
    figures = facts.figures
    if figures is None:
        return
    if figures.hold_left_ms > 0:
        yield reason(
            ReasonKind.HELD,
            f"A hold lets no job of the queue start for another {span(figures.hold_left_ms)};"
            " `hold(0)` of the queue ends it.",
            left_s=figures.hold_left_ms / 1000,
        )
    limit, window_ms = figures.rate_limit, figures.rate_window_ms or 0
    if limit is not None and figures.window_starts >= limit and figures.window_left_ms > 0:
        yield reason(
            ReasonKind.RATE,
            f"The rate limit of the queue is used up, {limit:,} in {span(window_ms)}: the next job"
            f" may start in {span(figures.window_left_ms)};"
            f" {command('limit', facts.queue, '--rate', 'none')} takes the limit away.",
            limit=limit,
            window_s=window_ms / 1000,
            left_s=figures.window_left_ms / 1000,
        )
    if figures.maxed:
        yield reason(
            ReasonKind.CONCURRENCY,
            f"The queue lets {plural(figures.concurrency or 0, 'job')} run at once, and as many do"
            f"{_names(facts)}; wait for one, or raise it with"
            f" {command('limit', facts.queue, '--concurrency', 'N')}.",
            limit=figures.concurrency,
            active=figures.counts[State.ACTIVE],
            running=_running_values(facts),
        )
    able = [one for one in facts.able() if not one.quiet and not one.paused]
    if able and all(one.running >= one.concurrency for one in able):
        slots = sum(one.concurrency for one in able)
        yield reason(
            ReasonKind.BUSY,
            f"All slots of {_workers(able)} are in use, {slots:,} of {slots:,}{_names(facts)}; wait"
            " for one, or start another worker.",
            slots=slots,
            workers=[one.id for one in able],
            running=_running_values(facts),
        )
    if limit is None and figures.window_starts > 0 and figures.window_left_ms > 0:
        yield reason(
            ReasonKind.WORKER_RATE,
            f"The workers have a rate limit of their own, and {figures.window_starts:,} have"
            " started in its window: if those are all it allows, the next may start in"
            f" {span(figures.window_left_ms)}.",
            starts=figures.window_starts,
            left_s=figures.window_left_ms / 1000,
        )


def _names(facts: Facts) -> str:
    """Return who holds the slots, as part of a sentence."""
    shown = [
        f"{one.id} on {one.worker_id or 'a worker of BullMQ'}{_progress(one)}"
        for one in facts.running[:SHOWN]
    ]
    return f": {', '.join(shown)}" if shown else ""


def _progress(record: JobRecord) -> str:
    return "" if record.progress in ("0", "null") else f" (progress {cut(record.progress)})"


def _running_values(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "job_id": one.id,
            "name": one.name,
            "worker_id": one.worker_id or None,
            "started_at": moment_or_none(one.processed_on_ms),
            "progress": one.progress,
        }
        for one in facts.running
    ]


def _workers(workers: Sequence[WorkerRecord]) -> str:
    return f"worker {workers[0].id}" if len(workers) == 1 else f"{len(workers):,} workers"
