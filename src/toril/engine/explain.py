"""Why a job is not running: from facts to reasons. Pure; `explain_facts.py` reads the facts.

Every reason that applies is given, not only the first: whoever resumes a paused queue should not
have to learn only then that no worker serves it. Read next: `explain_workers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from toril.core.clock import moment, moment_or_none
from toril.core.reading import RawText, read, read_object
from toril.engine.explain_facts import Facts
from toril.engine.explain_workers import SHOWN, limits, nobody
from toril.engine.explanation import Explanation, Reason, ReasonKind, reason
from toril.engine.job import JobRecord
from toril.engine.states import FINISHED, READY, State
from toril.engine.wording import ago, command, cut, plural, since, span, stamp


def explain(facts: Facts) -> Explanation:
    """Return why a job is not running, the most important reason first."""
    record = facts.record
    return Explanation(
        queue=facts.queue,
        job_id=facts.job_id,
        state=None if record is None else record.state,
        reasons=[_missing(facts)] if record is None else list(_reasons(facts, record)),
    )


def _reasons(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    match record.state:
        case State.COMPLETED | State.FAILED:
            yield _finished(facts, record)
        case State.ACTIVE:
            yield from _running(facts, record)
        case State.WAIT | State.PRIORITIZED:
            yield from _lost(facts, record)
            yield from _closed(facts)
            yield from nobody(facts, record)
            yield from limits(facts)
            yield from _in_line(facts, record)
        case State.DELAYED:
            is_due = record.run_at_ms is not None and record.run_at_ms <= facts.now_ms
            yield _due(facts, record) if is_due else _delayed(facts, record)
            yield from _closed(facts)
            yield from nobody(facts, record)
            if is_due:
                yield from limits(facts)
        case State.WAITING_CHILDREN:
            yield _children(facts)
            yield from _closed(facts)
            yield from nobody(facts, record)
    if record.deferred_failure is not None and record.state not in FINISHED:
        yield reason(
            ReasonKind.WILL_FAIL,
            f"The worker that takes it fails it without running it: {cut(record.deferred_failure)}",
            reason=record.deferred_failure,
        )
    yield from _origin(record)


def _missing(facts: Facts) -> Reason:
    if facts.figures is None:
        return reason(
            ReasonKind.MISSING,
            f"The store has no queue {facts.queue!r}: look for it with `toril queues`, and check"
            " whether this is the store that its producers use.",
        )
    return reason(
        ReasonKind.MISSING,
        f"Queue {facts.queue!r} has no job {facts.job_id!r}: it was removed, or finished and was"
        " not kept, or was never added;"
        f" {command('jobs', 'list', facts.queue)} lists what there is.",
    )


def _finished(facts: Facts, record: JobRecord) -> Reason:
    ended_ms = record.ended_ms
    values = {
        "finished_at": moment(ended_ms),
        "attempts_made": record.attempts_made,
        "worker_id": record.worker_id or None,
    }
    tried = plural(record.attempts_made, "attempt")
    again = command("jobs", "retry", facts.queue, record.id)
    if record.state is State.COMPLETED:
        return reason(
            ReasonKind.COMPLETED,
            f"It completed {ago(ended_ms, facts.now_ms)}, after {tried}; {again} runs it again.",
            **values,
        )
    why = record.failed_reason or "no reason was kept"
    return reason(
        ReasonKind.FAILED,
        f"It failed {ago(ended_ms, facts.now_ms)}, after {tried}; {again} puts it back in line."
        f" The reason: {cut(why)}",
        **values,
        reason=record.failed_reason,
    )


def _running(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    worker = next((one for one in facts.workers if one.id == record.worker_id), None)
    if worker is not None:
        who = f"worker {worker.id} on {worker.host}"
    else:
        name = f" {record.worker_id}" if record.worker_id else ""
        who = f"a worker{name} that is not on the register (one of BullMQ, or it has died)"
    progress, lease_ms = read(record.progress), record.lease_remaining_ms or 0
    values = {
        "worker_id": record.worker_id or None,
        "host": None if worker is None else worker.host,
        "started_at": moment_or_none(record.processed_on_ms),
        "attempt": record.attempts_started,
        "progress": str(progress) if isinstance(progress, RawText) else progress,
        "lease_remaining_s": lease_ms / 1000,
    }
    held = (
        ""
        if record.processed_on_ms is None
        else f" since {since(record.processed_on_ms, facts.now_ms)}"
    )
    if lease_ms <= 0:
        yield reason(
            ReasonKind.LEASE_ENDED,
            f"It is held by {who}{held}, whose lease has ended: the next sweep of a live worker of"
            " the queue, within 30 seconds, puts it back in line or fails it.",
            **values,
        )
        if not facts.serving():
            yield from nobody(facts, record)
    elif record.cancel_reason is not None:
        yield reason(
            ReasonKind.CANCELLED,
            f"It runs on {who}{held}, and was told to stop: it fails once its task has ended."
            f" The reason: {cut(record.cancel_reason)}",
            **values,
            reason=record.cancel_reason,
        )
    else:
        done = "" if progress in (0, None) else f", progress {cut(str(progress))}"
        yield reason(
            ReasonKind.RUNNING,
            f"It runs, in attempt {record.attempts_started}, on {who}{held}{done}; its lease lasts"
            f" {span(lease_ms)} if it is not renewed;"
            f" {command('jobs', 'cancel', facts.queue, record.id)} stops it.",
            **values,
        )


def _lost(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    if facts.place is not None and facts.place.state in READY and facts.place.ahead is None:
        yield reason(
            ReasonKind.LOST,
            "It should be in line and is in none, so no worker comes to it;"
            f" {command('doctor', '--repair')} puts it back.",
        )


def _closed(facts: Facts) -> Iterator[Reason]:
    """Yield that the queue is paused."""
    if facts.figures is None or not facts.figures.paused:
        return
    since_ms = None if facts.place is None else facts.place.paused_at_ms
    when = "it is not known since when"
    if since_ms is not None:
        when = f"since {since(since_ms, facts.now_ms)}"
    values = {"since": moment_or_none(since_ms)}
    if facts.figures.moving:
        yield reason(
            ReasonKind.MOVING,
            f"Queue {facts.queue!r} is paused while it moves to another store ({when}), and goes on"
            " there; if no `toril migrate` is under way, run it again, or keep the queue here with"
            f" {command('resume', facts.queue)}.",
            **values,
        )
    else:
        yield reason(
            ReasonKind.PAUSED,
            f"Queue {facts.queue!r} is paused ({when}); {command('resume', facts.queue)} lets its"
            " jobs start.",
            **values,
        )


def _delayed(facts: Facts, record: JobRecord) -> Reason:
    run_at_ms = record.due_ms
    outcome, why, error = _cause(record)
    failure = f" The failure: {cut(error)}" if error else ""
    unknown_since_ms = record.unknown_since_ms
    if unknown_since_ms is not None:
        why = (
            f", as no worker that took it since {stamp(unknown_since_ms)} has had a task"
            f" {cut(record.name)!r}"
        )
        error = record.attempts[-1].error
        failure = f" The last one that took it: {cut(error)}" if error else ""
    return reason(
        ReasonKind.DELAYED,
        f"It is delayed until {stamp(run_at_ms)}, {span(run_at_ms - facts.now_ms)} from now{why};"
        f" {command('jobs', 'promote', facts.queue, record.id)} makes it ready now.{failure}",
        run_at=moment(run_at_ms),
        left_s=(run_at_ms - facts.now_ms) / 1000,
        after_outcome=outcome,
        error=error,
        unknown_since=moment_or_none(unknown_since_ms),
    )


def _cause(record: JobRecord) -> tuple[str | None, str, str | None]:
    """Return the outcome that has delayed a job, in words too, and its error. None: nothing has."""
    last = record.attempts[-1] if record.attempts else None
    if last is None and record.attempts_made > 0 and record.failed_reason:
        # Workers of BullMQ write no history.
        why = f", as attempt {record.attempts_made} failed"
        return "retried", why, record.failed_reason
    if last is not None and last.outcome == "retried":
        return "retried", f", as attempt {last.number} failed", last.error
    if last is not None and last.outcome == "snoozed":
        return "snoozed", ", as its task asked for it", None
    return None, "", None


def _due(facts: Facts, record: JobRecord) -> Reason:
    late_ms = facts.now_ms - record.due_ms
    return reason(
        ReasonKind.DUE,
        f"It was delayed until {stamp(record.due_ms)}, {span(late_ms)} ago: the next claim of a"
        " worker of the queue puts it in line.",
        run_at=moment(record.due_ms),
        late_s=late_ms / 1000,
    )


def _children(facts: Facts) -> Reason:
    left = facts.children_left
    children = [
        {
            "queue": child.queue,
            "job_id": child.job_id,
            "state": None if child.state is None else str(child.state),
        }
        for child in facts.children
    ]
    values = {"left": left, "children": children}
    if left == 0:
        return reason(
            ReasonKind.CHILDREN,
            "It waits for children, and none is left, so the end of the last one should have let it"
            " go; if it stays so, look at it with `toril doctor`.",
            **values,
        )
    # Those that will not end by themselves are what somebody has to look at.
    stuck = [one for one in facts.children if one.state in (State.FAILED, None)]
    named = [*stuck, *(one for one in facts.children if one not in stuck)][:SHOWN]
    listed = ", ".join(
        f"{one.job_id} of queue {one.queue!r} ({one.state or 'gone'})" for one in named
    )
    which = f": {listed}" if listed else ""
    rest = f" and {left - len(named):,} more" if named and left > len(named) else ""
    advice = "retry or remove those that failed" if stuck else "explain one of them to learn more"
    return reason(
        ReasonKind.CHILDREN,
        f"It waits for {plural(left, 'child', 'children')}{which}{rest}; {advice}.",
        **values,
    )


def _in_line(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    place = facts.place
    if place is None or place.ahead is None:
        return
    if place.ahead == 0:
        sentence = (
            "It is the next in line: a worker takes it as soon as nothing else holds it back."
        )
    else:
        about = "More than " if place.more else ""
        ahead = f"{about}{plural(place.ahead, 'job')} of the queue"
        is_one = place.ahead == 1 and not place.more
        order = " (those without a priority, and with a smaller number, go first)"
        sentence = (
            f"{ahead} {'is' if is_one else 'are'} ahead of it"
            f"{order if record.priority else ''}; `change_priority` of the job moves it up."
        )
    yield reason(
        ReasonKind.IN_LINE,
        sentence,
        ahead=place.ahead,
        exact=not place.more,
        priority=record.priority,
    )


def _origin(record: JobRecord) -> Iterator[Reason]:
    """Yield who made it, apart from a plain producer."""
    options = read_object(record.opts)
    repeat = options.get("repeat")
    schedule = options.get("repeatJobKey")
    if isinstance(repeat, dict) or isinstance(schedule, str):
        if not isinstance(schedule, str):  # version 5 of BullMQ has it in the id
            schedule = record.id.removeprefix("repeat:").rpartition(":")[0] or None
        name = "A schedule" if schedule is None else f"Schedule {cut(schedule)!r}"
        yield reason(
            ReasonKind.SCHEDULE,
            f"{name} has made it: to stop more of them, change that.",
            id=schedule,
        )
    if (above := record.parent) is not None:
        yield reason(
            ReasonKind.PARENT,
            f"It is a child of job {cut(above.job_id)!r} of queue {cut(above.queue)!r}, which waits"
            " for it.",
            queue=above.queue,
            job_id=above.job_id,
        )
