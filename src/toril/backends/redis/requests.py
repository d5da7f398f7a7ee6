"""Writes the arguments of scripts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from toril.backends.redis import traces
from toril.core.reading import read_object
from toril.engine.contract.dispatch import Claim, Exchange
from toril.engine.deduplication import DeduplicationRule, HeldId
from toril.engine.flow import FLAGS, ChildRecord, ParentRef
from toril.engine.job import Attempt, Finished, JobRecord, NewJob, WholeJob
from toril.engine.states import FINISHED, State

_encode = msgspec.json.Encoder().encode


class QueueIndex:
    """The queues that one script call is about, each by its place among the keys, from 1."""

    __slots__ = ("_places", "names")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._places: dict[str, int] = {}

    def of(self, queue: str) -> int:
        """Return the queue's place."""
        place = self._places.get(queue)
        if place is None:
            self.names.append(queue)
            place = self._places[queue] = len(self.names)
        return place


def new_job(job: NewJob, places: QueueIndex) -> tuple[str, str, str, str]:
    """Return the arguments of a new job: name, data, options, placing."""
    place = places.of(job.queue)
    if (
        place == 1
        and job.job_id is None
        and job.delay_ms == 0
        and job.priority == 0
        and not job.lifo
        and job.timestamp_ms is None
        and job.run_at_ms is None
        and job.deduplication is None
    ):
        return job.name, job.data, job.opts, ""
    return job.name, job.data, job.opts, _encode(_placing(job, place)).decode()


def placed_job(job: NewJob, places: QueueIndex) -> tuple[str, str, str, str]:
    """Return the same arguments of a job whose placing is always written out."""
    return job.name, job.data, job.opts, _encode(_placing(job, places.of(job.queue))).decode()


def new_jobs(jobs: Sequence[NewJob], places: QueueIndex) -> list[str]:
    """Return the arguments of `add.lua` after the time.

    In place of a plain job's placing stands how many follow that differ from it by their data only:
    of these there is nothing but the data.
    """
    arguments: list[str] = []
    alike: tuple[str, str] | None = None
    first = more = 0
    for job in jobs:
        name, data, opts, placing = new_job(job, places)
        if placing:
            alike = None
            arguments += (name, data, opts, placing)
        elif alike == (name, opts):
            more += 1
            arguments[first] = str(more)
            arguments.append(data)
        else:
            alike, more = (name, opts), 0
            arguments += (name, data, opts, "0")
            first = len(arguments) - 1
    return arguments


def exchange(
    exchange: Exchange, token: str, *, points: int, lost_tokens: Sequence[str], places: QueueIndex
) -> list[str | int]:
    """Return the arguments of `exchange.lua` after the time."""
    claims = [_claim(claim, places) for claim in exchange.claims]
    arguments: list[str | int] = [""]
    runs: list[int] = []
    for outcome in exchange.outcomes:
        runs += (outcome.waited_ms, outcome.started_ms)
        completed = outcome.kind == "completed"
        arguments += (
            places.of(outcome.queue),
            outcome.job_id,
            outcome.token,
            outcome.value if completed else "null" if outcome.reason is None else outcome.reason,
            _completed(
                outcome.attempt, outcome.attempts_made, outcome.keep_count, outcome.keep_age_ms
            )
            if completed and not outcome.follow_ups
            else _ended(outcome, places),
        )
    request = _Request(
        token=token,
        worker=exchange.worker_id,
        room=exchange.room,
        points=points,
        lost_tokens=lost_tokens,
        claims=claims,
        runs=runs,
    )
    arguments[0] = _encode(request).decode()
    return arguments


def _claim(claim: Claim, places: QueueIndex) -> _Claim:
    return _Claim(
        queue=places.of(claim.queue),
        limit=claim.limit,
        lease_ms=claim.lease_ms,
        rate_limit=claim.rate_limit,
        rate_window_ms=claim.rate_window_ms,
    )


@lru_cache(maxsize=1024)
def _completed(attempt: int, made: int, keep_count: int | None, keep_age_ms: int | None) -> str:
    """Return the rest of a plain success: most jobs of a queue end with the same."""
    rest = _Outcome(
        kind="completed",
        attempt=attempt,
        attempts_made=made,
        keep_count=keep_count,
        keep_age_ms=keep_age_ms,
    )
    return _encode(rest).decode()


def _ended(outcome: Finished, places: QueueIndex) -> str:
    line = None
    if outcome.kind != "completed":  # a success is seen from the job's own fields
        attempt = _AttemptLine(
            number=outcome.attempt,
            started_ms=outcome.started_ms,
            worker_id=outcome.worker_id,
            outcome=outcome.kind,
            error=outcome.reason,
            traced=_mark(outcome.traceback),
            unknown_since_ms=outcome.unknown_since_ms,
        )
        line = _encode(attempt).decode()
    rest = _Outcome(
        kind=outcome.kind,
        attempt=outcome.attempt,
        attempts_made=outcome.attempts_made,
        keep_count=outcome.keep_count,
        keep_age_ms=outcome.keep_age_ms,
        wait_ms=outcome.wait_ms,
        until_ms=outcome.until_ms,
        in_front=outcome.lifo,
        exhausted=outcome.exhausted,
        line=line,
        trace=outcome.traceback,
        follow_ups=[
            _FollowUp(
                name=job.name,
                data=job.data,
                opts=job.opts,
                placing=_placing(job, places.of(job.queue)),
            )
            for job in outcome.follow_ups or ()
        ],
    )
    return _encode(rest).decode()


def _placing(job: NewJob, place: int) -> _Placing:
    return _Placing(
        queue=place,
        id=job.job_id or None,
        delay_ms=job.delay_ms,
        priority=job.priority,
        lifo=job.lifo,
        timestamp_ms=job.timestamp_ms,
        run_at_ms=job.run_at_ms,
        deduplication=job.deduplication,
    )


def whole_job(job: WholeJob, prefix: str) -> list[str | int]:
    """Return the arguments of a job that is adopted by the queues under a prefix."""
    record = job.record
    moment_ms: str | int = ""
    if record.state is State.DELAYED:
        moment_ms = record.due_ms
    elif record.state is State.WAITING_CHILDREN:
        moment_ms = record.timestamp_ms
    elif record.state in FINISHED:
        moment_ms = record.ended_ms
    ended_ms = moment_ms if record.state in FINISHED else None
    words = hash_words(record, prefix, finished_on_ms=ended_ms)
    return [
        record.id, record.state, record.priority, moment_ms, _hold(job.held),
        _children(job.children, prefix), len(words), len(job.log),
        *words, *job.log,
    ]  # fmt: skip


def hash_words(
    record: JobRecord, prefix: str, *, finished_on_ms: str | int | None = None
) -> list[str | int]:
    """Return the fields of a job's hash, each with its value."""
    history = record.history
    kept = [attempt.traceback for attempt in history if attempt.traceback is not None]
    fields: dict[str, str | int | None] = {
        "name": record.name,
        "data": record.data,
        "opts": record.opts,
        "timestamp": record.timestamp_ms,
        "delay": record.delay_ms,
        "priority": record.priority,
        "ats": record.attempts_started or None,
        "atm": record.attempts_made or None,
        "stc": record.stalled or None,
        "progress": None if record.progress == "0" else record.progress,
        "returnvalue": record.result,
        "failedReason": record.failed_reason,
        "processedOn": record.processed_on_ms,
        "finishedOn": finished_on_ms,
        "pb": record.worker_id,
        "defa": record.deferred_failure,
        "toril:cancel": record.cancel_reason,
        "toril:history": "\n".join(map(_past_attempt, history)) or None,
        "stacktrace": _encode(kept).decode() if kept else None,
        "deid": record.deduplication_id,
    }
    if record.parent is not None:
        fields["opts"], fields["parent"] = tied(record.opts, record.parent, prefix)
        fields["parentKey"] = f"{prefix}:{record.parent.queue}:{record.parent.job_id}"
    words: list[str | int] = []
    for name, value in fields.items():
        if value is not None:
            words += (name, value)
    return words


def tied(opts: str, parent: ParentRef, prefix: str) -> tuple[str, str]:
    """Return the options of a child and its field `parent`, both as BullMQ writes them."""
    base = f"{prefix}:{parent.queue}"
    wire: dict[str, Any] = {"id": parent.job_id, "queueKey": base}
    flag = FLAGS.get(parent.on_failure)
    if flag is not None:
        wire[flag] = True
    options = {**read_object(opts), "parent": {"id": parent.job_id, "queue": base}}
    return _encode(options).decode(), _encode(wire).decode()


def _children(children: Sequence[ChildRecord], prefix: str) -> str:
    if not children:
        return ""
    known = [
        (
            f"{prefix}:{child.queue}:{child.job_id}",
            child.fate,
            (child.value if child.fate == "completed" else child.failed_reason) or "null",
        )
        for child in children
    ]
    return _encode(known).decode()


def _hold(held: HeldId | None) -> str:
    if held is None:
        return ""
    aside: tuple[Any, ...] | bool = False
    if (one := held.aside) is not None:
        aside = (one.name, one.data, one.opts, one.job_id, _or_false(one.run_at_ms))
    return _encode((held.id, _or_false(held.left_ms), aside)).decode()


def _past_attempt(attempt: Attempt) -> str:
    line = _AttemptLine(
        number=attempt.number,
        started_ms=attempt.started_ms,
        worker_id=attempt.worker_id,
        outcome=attempt.outcome,
        error=attempt.error,
        traced=_mark(attempt.traceback),
        unknown_since_ms=attempt.unknown_since_ms,
    )
    return f"{attempt.ended_ms} {_encode(line).decode()}"


def _or_false(value: int | None) -> int | bool:
    return False if value is None else value


def _mark(trace: str | None) -> str | bool:
    return False if trace is None else traces.mark(trace)


class _AttemptLine(msgspec.Struct, rename="camel", omit_defaults=True):
    """An attempt as the store's history holds it; when it ended stands before it."""

    number: int
    started_ms: int
    worker_id: str
    outcome: str
    error: str | None = None
    traced: str | bool = False
    """The mark of its stack trace, which is among those of the job."""
    unknown_since_ms: int | None = None


class _Placing(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Where a new job goes, and what else is not plain about it."""

    queue: int
    """Its place among the keys, from 1."""
    id: str | None = None
    delay_ms: int = 0
    priority: int = 0
    lifo: bool = False
    timestamp_ms: int | None = None
    run_at_ms: int | None = None
    deduplication: DeduplicationRule | None = None


class _FollowUp(msgspec.Struct, kw_only=True, gc=False):
    """A job that is added with an outcome."""

    name: str
    data: str
    opts: str
    placing: _Placing


class _Outcome(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An outcome but for what has an argument of its own. The names are those in `settle.lua`."""

    kind: str
    attempt: int
    attempts_made: int
    keep_count: int | None = None
    keep_age_ms: int | None = None
    wait_ms: int = 0
    until_ms: int | None = None
    in_front: bool = False
    exhausted: bool = False
    line: str | None = None
    """The attempt for the job's history, as JSON text."""
    trace: str | None = None
    follow_ups: list[_FollowUp] = []


class _Claim(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A claim of an exchange."""

    queue: int
    """Its place among the keys, from 1."""
    limit: int
    lease_ms: int
    rate_limit: int | None = None
    rate_window_ms: int


class _Request(msgspec.Struct, kw_only=True, gc=False):
    """An exchange but for its outcomes."""

    token: str
    worker: str
    room: int
    points: int
    """Minutes of metrics to keep; 0: none."""
    lost_tokens: Sequence[str]
    claims: list[_Claim]
    runs: list[int]
    """Two for each outcome: how long its job had waited, in ms (-1: not known), and when it was
    started."""
