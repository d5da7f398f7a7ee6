"""What needs a person: a store that is away, queues without workers, silent workers, and such."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from toril.core.durations import in_words
from toril.engine.flow_stuck import StuckFlow
from toril.engine.info import QueueInfo, WorkerInfo
from toril.fallback.info import StoreState
from toril.rest.answers import Concern
from toril.web.call import Call
from toril.web.letter_queues import unworked_queues
from toril.web.lines import SILENT_S

OLD_S = 300.0
"""A queue whose next job waits longer, though workers serve it, has too few of them."""
UNSERVED_S = 10.0
"""So long may a job wait for a worker that is only just starting."""
FAILING_SHARE = 0.5
"""A queue of whose jobs more fail than this, since it began."""
FAILING_LEAST = 20
"""... if so many have ended."""
MOST_FLOWS = 50
"""Parents that are looked at for whether they are stuck."""

_GRADES = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionFacts:
    """What is judged."""

    queues: list[QueueInfo]
    workers: Sequence[WorkerInfo]
    served: Collection[str] | None
    """Queues that a worker of whatever library serves. None: nobody can say."""
    stuck: Sequence[StuckFlow]
    letters: Collection[str] = ()
    """Dead-letter queues: nobody is meant to work them."""
    store: StoreState | None = None
    """Which store is live. None: there is no fallback store."""


async def read_attention(call: Call) -> AttentionFacts:
    """Read what is judged, as far as the caller may see it."""
    queues, workers, served = await asyncio.gather(call.queues(), call.workers(), call.served())
    stuck: list[StuckFlow] = []
    if any(info.waiting_children for info in queues):
        stuck = [
            one for one in await call.app.flows.stuck(limit=MOST_FLOWS) if call.sees(one.queue)
        ]
    store = await call.app.store_state() if call.app.has_fallback else None
    return AttentionFacts(
        queues=queues,
        workers=workers,
        served=served,
        stuck=stuck,
        letters=await unworked_queues(call, queues, served),
        store=store,
    )


def concerns_of(facts: AttentionFacts) -> list[Concern]:
    """Return what needs a person, the worst first."""
    found = [
        *_of_store(facts.store),
        *(concern for info in facts.queues for concern in _of_queue(info, facts)),
        *_of_workers(facts),
        *(_of_flow(one) for one in facts.stuck),
    ]
    return sorted(found, key=lambda each: (_GRADES.index(each.grade), each.kind, each.subject))


def _of_store(state: StoreState | None) -> Iterator[Concern]:
    if state is None or state.live != "spool":
        return
    since = f" since {state.since:%H:%M:%S} UTC" if state.since else ""
    jobs = f"{state.to_move:,} {'job is' if state.to_move == 1 else 'jobs are'} still to move"
    text = f"away{since} ({state.reason}): new jobs go to the fallback store, and {jobs}"
    yield _concern("error", "store-away", None, text, subject="Redis")


def _of_queue(info: QueueInfo, facts: AttentionFacts) -> Iterator[Concern]:
    waiting = info.waiting + info.prioritized
    oldest_s = info.oldest_waiting_s or 0.0
    lone = facts.served is not None and info.name not in facts.served
    worked = info.name not in facts.letters
    words = f"{waiting:,} {'job waits' if waiting == 1 else 'jobs wait'}"
    words += f", the next one for {in_words(oldest_s)}"
    if info.paused:
        if waiting:
            yield _concern("note", "paused", info.name, f"the queue is paused; {words}")
    elif waiting and lone and worked and oldest_s >= UNSERVED_S:
        yield _concern("error", "no-worker", info.name, f"no worker serves the queue; {words}")
    elif waiting and worked and oldest_s >= OLD_S:
        text = f"{words}: it needs more workers, or a higher limit"
        yield _concern("warning", "old", info.name, text)
    if waiting and info.held_s >= OLD_S:
        text = f"a hold or the rate limit lets nothing start for {in_words(info.held_s)}"
        yield _concern("note", "held", info.name, text)
    ended = info.completed_total + info.failed_total
    if info.failed and ended >= FAILING_LEAST and info.failed_total > FAILING_SHARE * ended:
        share = f"{info.failed_total / ended:.0%}"
        text = f"{share} of its jobs have failed, {info.failed:,} are kept: see /errors"
        yield _concern("warning", "failing", info.name, text)


def _of_workers(facts: AttentionFacts) -> Iterator[Concern]:
    visible = {info.name for info in facts.queues}
    for worker in facts.workers:
        if worker.beat_age_s > SILENT_S and visible.intersection(worker.queues):
            text = (
                f"silent for {in_words(worker.beat_age_s)}: it hangs or is gone. Its jobs go back"
                " in line once it is silent for 9 s"
            )
            yield _concern("warning", "silent-worker", None, text, subject=worker.id)


def _of_flow(one: StuckFlow) -> Concern:
    subject = f"{one.queue} {one.job_id}"
    return _concern("warning", "stuck-flow", one.queue, f"{one.name} {one.text}", subject=subject)


def _concern(
    grade: str, kind: str, queue: str | None, text: str, *, subject: str | None = None
) -> Concern:
    return Concern(
        grade=grade,  # type: ignore[arg-type] # one of `_GRADES`
        kind=kind,  # type: ignore[arg-type] # spelled out above
        queue=queue,
        subject=subject if subject is not None else queue or "",
        text=text,
    )
