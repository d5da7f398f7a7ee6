"""What the REST interface answers.

Where the app itself gives a record, the answer is that record: `QueueInfo`, `WorkerInfo`,
`ScheduleInfo` and others. Here is what only the interface has: lines of lists, which carry previews
in place of payloads, and what became of a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

from toril.engine.audit import AuditEntry
from toril.engine.info import QueueInfo
from toril.engine.states import State

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list."""

    items: list[T]
    next: str | None = None
    """Give it as `after` for the next page. None: this was the last."""


class JobLine(msgspec.Struct, kw_only=True, frozen=True):
    """A job in a list: all but its payload, its result and its attempts."""

    id: str
    queue: str
    name: str
    state: State
    priority: int
    created_at: datetime
    run_at: datetime | None
    """`delayed`: when it may run."""
    processed_at: datetime | None
    """When a worker last took it."""
    finished_at: datetime | None
    delay_s: float
    attempts_made: int
    attempts_started: int
    max_attempts: int | None
    """None: as its task says."""
    stalled: int
    worker_id: str | None
    lease_remaining_s: float | None
    """`active`: time until its lease ends."""
    progress: str | None
    """What the task has reported, as JSON text, cut to 120 characters. None: nothing."""
    failed_reason: str | None
    """Cut to 300 characters. Who may not see payloads is shown the type of the error."""
    cancel_reason: str | None
    parent_queue: str | None
    parent_id: str | None
    deduplication_id: str | None
    options: Any
    """The stored options, with BullMQ's names."""
    data_bytes: int
    data_preview: str | None
    """The payload's first 120 characters. None: the caller may not see payloads."""
    result_preview: str | None
    """The result's first 120 characters. None: there is none, or the caller may not see it."""


class JobFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One job. Its payload, its result and its attempts have addresses of their own."""

    id: str
    queue: str
    name: str
    state: State
    priority: int
    created_at: datetime
    delay_s: float
    run_at: datetime | None
    """`delayed`: when it may run."""
    processed_at: datetime | None
    """When a worker last took it."""
    finished_at: datetime | None
    attempts_made: int
    """Attempts that count towards `max_attempts`."""
    attempts_started: int
    """Attempts in all, also those that were given back or lost."""
    max_attempts: int | None
    """None: as its task says."""
    stalled: int
    """How often it has lost its worker."""
    worker_id: str | None
    lease_remaining_s: float | None
    """`active`: time until its lease ends. Negative: it has ended."""
    progress: Any
    failed_reason: str | None
    cancel_reason: str | None
    """`active`: why somebody has cancelled it."""
    parent_queue: str | None
    parent_id: str | None
    deduplication_id: str | None
    options: Any
    """The stored options, with BullMQ's names."""
    data_bytes: int
    data_preview: str | None
    """The payload's first 120 characters. None: the caller may not see payloads."""
    result_preview: str | None
    """The result's first 120 characters. None: there is none, or the caller may not see it."""


class Value(msgspec.Struct, kw_only=True, frozen=True):
    """A payload or a result."""

    value: Any
    """As JSON. None beside a `text`."""
    text: str | None = None
    """What is stored, where it is no JSON that can be read."""
    bytes: int
    """How large it is as JSON."""


class AddedJob(msgspec.Struct, kw_only=True, frozen=True):
    """What became of a job that was to be added."""

    id: str
    queue: str
    duplicate: bool
    """Nothing was added: a job with this id is there, or this job holds the de-duplication id."""
    warning: str | None = None
    """The app has tasks on this queue, and none of this name; which one may be meant."""


class AddedJobs(msgspec.Struct, kw_only=True, frozen=True):
    """What became of jobs that were to be added, in their order."""

    jobs: list[AddedJob]


class Done(msgspec.Struct, kw_only=True, frozen=True):
    """What a call has changed."""

    count: int
    """How many."""
    more: bool = False
    """The time of the call was over before all were done: call again."""


class LogPage(msgspec.Struct, kw_only=True, frozen=True):
    """Log lines of a job, oldest first."""

    items: list[str]
    total: int
    """Lines that the job has."""
    next: str | None = None
    """Give it as `after` for the next page. None: this was the last."""


class Event(msgspec.Struct, kw_only=True, frozen=True):
    """Something that happened to a job or a queue."""

    queue: str
    position: int
    """Where it stands in its queue's log; grows from event to event."""
    at: datetime
    name: str
    job_id: str | None
    fields: Mapping[str, Any]
    """As BullMQ names them; values are text, cut to 300 characters. Results are left out."""


class QueueFacts(msgspec.Struct, kw_only=True, frozen=True):
    """One queue: its figures, and what belongs to it."""

    queue: QueueInfo
    waiting_by_priority: Mapping[str, int]
    """How many jobs wait with the priorities that have words, and without one (`0`)."""
    dead_letter: str | None
    """Where its failures leave letters. None: nowhere, or only Redis knows, which is away."""
    served: bool
    """Whether a worker serves it, of whatever library."""


class FlowLine(msgspec.Struct, kw_only=True, frozen=True):
    """The root of a flow that waits for its children."""

    queue: str
    id: str
    name: str
    created_at: datetime


class FlowJob(msgspec.Struct, kw_only=True, frozen=True):
    """A job of a flow."""

    queue: str
    id: str
    key: str | None
    """BullMQ's key, by which its parent names it. None: the root."""
    parent_queue: str | None
    parent_id: str | None
    name: str | None
    """None: the job is gone."""
    state: State | None
    """None: the job is gone."""
    fate: Literal["pending", "completed", "failed", "ignored"] | None
    """What its parent knows: `pending`, `completed`, `failed` or `ignored`. None: the root."""
    failed_reason: str | None
    cut: bool
    """It has more children than are here."""


class FlowProgressFacts(msgspec.Struct, kw_only=True, frozen=True):
    """How far a flow has come."""

    total: int
    completed: int
    failed: int
    active: int
    waiting: int
    waiting_children: int
    gone: int
    cut: bool
    """There are more jobs than were looked at."""


class FlowFacts(msgspec.Struct, kw_only=True, frozen=True):
    """A flow: its jobs, each before its children."""

    progress: FlowProgressFacts
    nodes: list[FlowJob]


class LetterQueue(msgspec.Struct, kw_only=True, frozen=True):
    """A dead-letter queue."""

    name: str
    letters: int
    """Letters that wait. Those of jobs that were brought back are among them until removed."""
    of_queues: list[str]
    """The queues whose failures leave letters there, by their settings or by a task of the app."""


class LetterLine(msgspec.Struct, kw_only=True, frozen=True):
    """A dead letter in a list."""

    id: str
    letters: str
    """The dead-letter queue."""
    original_queue: str
    original_job_id: str
    task: str
    failed_reason: str
    """Cut to 300 characters. Who may not see payloads is shown the type of the error."""
    attempts_made: int
    failed_at: datetime
    redriven_at: datetime | None
    """When its job was brought back. None: it was not."""
    data_preview: str | None
    """The payload's first 120 characters. None: the caller may not see payloads."""


class Redriven(msgspec.Struct, kw_only=True, frozen=True):
    """The job that a letter has brought back."""

    queue: str
    id: str


class WorkerFacts(msgspec.Struct, kw_only=True, frozen=True):
    """A worker."""

    id: str
    host: str
    pid: int
    state: Literal["working", "paused", "quiet", "silent"]
    """`paused`: it takes no jobs until told to. `quiet`: it takes no more jobs. `silent`: three
    of its heartbeats are missing."""
    queues: list[str]
    """Those of its queues that the caller may see."""
    concurrency: int | None
    """None: it serves other queues, too, which the caller may not see."""
    running: int | None
    """Jobs that it runs now. None: as above."""
    started_at: datetime
    beat_age_s: float
    """Time since its last heartbeat."""
    quiet: bool
    paused: bool
    """It was told to pause, and goes on once it is told to."""
    resident_bytes: int | None
    """None: as above."""
    version: str
    tasks: dict[str, list[str]] | None
    """For each queue the names of the jobs that it can run. None: not known."""


class DurationBucket(msgspec.Struct, kw_only=True, frozen=True):
    """A part of a histogram."""

    up_to_s: float
    """The longest duration of the bucket."""
    count: int


class DurationFacts(msgspec.Struct, kw_only=True, frozen=True):
    """How long something took, many times.

    A percentile is the end of the bucket that it lies in: never below the true one, and at most
    41 % above it.
    """

    count: int
    sum_s: float
    mean_s: float | None
    """Exact. None: there are none."""
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    longest_s: float | None
    """The end of the last bucket that holds any."""
    buckets: list[DurationBucket] | None
    """Ascending. None: not asked for."""


class PointFacts(msgspec.Struct, kw_only=True, frozen=True):
    """What happened in one step of a history."""

    at: datetime
    """When the step begins."""
    completed: int
    failed: int
    """Jobs that failed for good."""
    retried: int
    """Attempts that failed and are tried again."""
    wait: DurationFacts
    """From when a job could run to its start."""
    run: DurationFacts
    """From its start to the end of the attempt."""
    oldest_waiting_s: float | None
    """The greatest age that the next job in line was seen with. None: none waited, no worker was
    there to look, or the history is of one task."""


class HistoryFacts(msgspec.Struct, kw_only=True, frozen=True):
    """What a queue, or one of its tasks, did in a span of time."""

    queue: str
    task: str | None
    written: bool
    """Whether the queue's history is written at this time."""
    since: datetime
    """When the first point begins."""
    step_s: float
    tasks: list[str]
    """The tasks that ended attempts in the span. `*`: names for which there was no room, or what
    BullMQ's own workers did."""
    points: list[PointFacts]
    """One for each step, oldest first, also where nothing happened."""
    total: PointFacts
    """All of them together."""


class ErrorGroup(msgspec.Struct, kw_only=True, frozen=True):
    """Failed jobs that failed alike."""

    fingerprint: str
    queue: str
    name: str
    """The name of the jobs."""
    error: str
    """The type of the error. Empty: it is not known."""
    message: str
    """The newest message, with what differs from job to job put as `<…>`."""
    frame: str | None
    """The line of the application that failed, such as `mail.py:41 in send`."""
    count: int
    """Jobs of those that were looked at."""
    first_at: datetime
    last_at: datetime
    sample_ids: list[str]
    """The newest jobs, at most 5."""
    trend: list[int]
    """How many of them failed in each twelfth of the span from `since` until now, oldest first."""
    search: str
    """A search that finds these jobs, and others of the task whose messages hold the same words."""


class ErrorGroups(msgspec.Struct, kw_only=True, frozen=True):
    """Groups of failures, largest first."""

    items: list[ErrorGroup]
    looked_at: int
    """Failed jobs that were looked at: the newest of each queue."""
    failed: int
    """Failed jobs that there are. More than `looked_at`: older ones were not looked at."""
    since: datetime | None
    """When the oldest of those failed that were looked at. None: there are none."""


class Concern(msgspec.Struct, kw_only=True, frozen=True):
    """Something that needs a person."""

    grade: Literal["error", "warning", "note"]
    kind: Literal[
        "no-worker",
        "silent-worker",
        "paused",
        "old",
        "held",
        "stuck-flow",
        "schedule",
        "failing",
        "store-away",
    ]
    queue: str | None
    subject: str
    """What it is about: a queue, a worker, a flow, a schedule, a store."""
    text: str
    """What is wrong and what can be done."""


class Concerns(msgspec.Struct, kw_only=True, frozen=True):
    """What needs a person, the worst first. Empty: nothing does."""

    items: list[Concern]


class Totals(msgspec.Struct, kw_only=True, frozen=True):
    """Figures over all queues."""

    queues: int
    paused: int
    waiting: int
    prioritized: int
    delayed: int
    waiting_children: int
    active: int
    completed: int
    failed: int
    completed_total: int
    failed_total: int
    oldest_waiting_s: float | None
    workers: int
    slots: int
    """Jobs that all workers could run at once."""
    running: int


class Overview(msgspec.Struct, kw_only=True, frozen=True):
    """The store at one look."""

    store: str
    """Where it is, without secrets."""
    version: str
    at: datetime
    totals: Totals
    attention: list[Concern]
    queues: list[QueueInfo]
    workers: list[WorkerFacts]


class AlertLine(msgspec.Struct, kw_only=True, frozen=True):
    """An alert that is raised, or was lately."""

    rule: str
    """`dead_letter`, `queue_size`, …"""
    queue: str
    """What it is about; of workers, their queues with commas between."""
    state: Literal["pending", "raised", "recovered"]
    """`pending`: seen, but not for long enough to be raised."""
    since: datetime
    """When it was first seen."""
    seen: datetime
    """When it was last seen."""
    value: float
    threshold: float
    text: str
    """What is wrong. Who may not see payloads is not shown what repeats an error."""
    told_at: datetime | None
    """When somebody was last told. None: never."""
    muted: bool


class MuteLine(msgspec.Struct, kw_only=True, frozen=True):
    """That nobody is told of some alerts for a while."""

    rule: str
    """A rule, or a pattern of rules."""
    queue: str
    """A queue, or a pattern of queues."""
    until: datetime
    by: str
    reason: str


class UnsentLine(msgspec.Struct, kw_only=True, frozen=True):
    """A message that a channel could not send yet."""

    channel: str
    title: str
    at: datetime
    tries: int
    error: str
    """Of the last try. Empty: there was none yet."""


class AlertFacts(msgspec.Struct, kw_only=True, frozen=True):
    """What is raised, and who is not told of it."""

    watched: bool
    """The app of this server declares alerts."""
    rules: list[str]
    """Those that there are."""
    alerts: list[AlertLine]
    mutes: list[MuteLine]
    """Empty for a caller that is limited to queues."""
    unsent: list[UnsentLine]
    """Likewise."""


class Setting(msgspec.Struct, kw_only=True, frozen=True):
    """A setting of the server's app."""

    name: str
    value: str
    """As text. Of a secret only whether there is one."""
    is_default: bool


class StoreFinding(msgspec.Struct, kw_only=True, frozen=True):
    """One result of a look over the store."""

    subject: str
    grade: Literal["ok", "warning", "error"]
    text: str
    """What was found and, unless the grade is `ok`, what to do."""


class StoreCheck(msgspec.Struct, kw_only=True, frozen=True):
    """The store looked over, as `toril doctor` does it."""

    ok: bool
    """Nothing is an error."""
    findings: list[StoreFinding]
    repairs: list[str]
    """What `toril doctor --repair` would do."""


class SystemFacts(msgspec.Struct, kw_only=True, frozen=True):
    """The server and its store."""

    store: str
    """Where it is, without secrets."""
    kind: str
    """`sqlite` or `redis`."""
    answer_s: float
    """How long the cheapest question to the store took."""
    version: str
    python: str
    system: str
    extras: list[str]
    """Extras whose libraries are installed."""
    host: str
    pid: int
    resident_bytes: int
    started_at: datetime
    """When this server was made."""
    streams: int
    """Streams of live events that are open."""
    max_streams: int
    settings: list[Setting]
    limits: dict[str, float | None]
    """What requests may cost."""


class KeyLine(msgspec.Struct, kw_only=True, frozen=True):
    """A key without its secret."""

    name: str
    role: str
    queues: list[str] | None
    """Only these, in which `*` stands for any characters. None: all."""
    payloads: bool
    """May see what jobs carry."""
    created_at: datetime
    expires_at: datetime | None
    expired: bool


class NewKey(msgspec.Struct, kw_only=True, frozen=True):
    """A key that was just made."""

    name: str
    key: str
    """It cannot be shown again."""


class UserLine(msgspec.Struct, kw_only=True, frozen=True):
    """A user without the password."""

    name: str
    role: str
    queues: list[str] | None
    """Only these, in which `*` stands for any characters. None: all."""
    payloads: bool
    """May see what jobs carry."""
    created_at: datetime
    version: str
    """Changes with the rights. Send it when you change them, and no other change is lost."""


class SessionLine(msgspec.Struct, kw_only=True, frozen=True):
    """A browser that is signed in."""

    id: str
    """By which it is ended. It lets nobody in."""
    kind: str
    """`user`, or `key`: somebody has signed in with a key."""
    name: str
    """Of the user or the key."""
    begun_at: datetime | None
    """None: an earlier version began it."""
    seen_at: datetime | None
    """When it was last used, to about a minute."""
    expires_at: datetime
    place: str
    """From where it was last used: an address, in IPv6 the network of one. Empty: not known."""
    browser: str
    """Such as `Firefox 140, Linux`. Empty: not known."""
    agent: str
    """What the browser calls itself."""
    current: bool
    """It is the one that asks."""


class AuditEntries(msgspec.Struct, kw_only=True, frozen=True):
    """Some entries of the audit log, newest first."""

    items: list[AuditEntry]
    next: str | None = None
    """Give it as `after` for the next page. None: this was the last."""


class FoundJobs(msgspec.Struct, kw_only=True, frozen=True):
    """What a search has found so far."""

    items: list[JobLine]
    next: str | None
    """Give it as `after` to go on. None: everything was looked through."""
    looked_at: int
    """Jobs that were looked at for this page."""
    passed_over: int
    """Those of them whose payload is too large to be looked through."""
    queue: str | None
    """The queue where the search stands. None: it has ended."""
    state: str | None
    """The state of its jobs where it stands."""
    repeats: bool
    """Some of the jobs may have been on earlier pages."""


class OperationPlan(msgspec.Struct, kw_only=True, frozen=True):
    """What an operation on many jobs would do."""

    action: str
    query: str
    """The search, with the states that are meant."""
    count: int
    """Jobs that it would change."""
    exact: bool
    """False: there are at least so many."""
    at_most: int
    """Jobs that there are to look at."""
    samples: list[JobLine]
    """The first ten of the jobs."""


class Restored(msgspec.Struct, kw_only=True, frozen=True):
    """What undoing a removal has done."""

    restored: int
    taken: int
    """Jobs whose id another job has by now; they stay gone."""


class Health(msgspec.Struct, kw_only=True, frozen=True):
    """Whether the server lives, or the store answers."""

    status: Literal["ok"]
    version: str
    store: str | None = None
    """Which store new jobs go to: `redis`; `spool` while Redis is away. None: not asked, or there
    is no fallback store."""
    since: datetime | None = None
    """Since when it is."""
    to_move: int | None = None
    """Jobs in the spool that have not moved to Redis yet."""


class Me(msgspec.Struct, kw_only=True, frozen=True):
    """Who is asking, and what they may."""

    name: str
    kind: str
    role: str
    queues: list[str] | None
    """Only these. None: all."""
    payloads: bool
    """May see payloads and results."""


class ProblemError(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What went wrong, for programs."""

    code: str
    """A word that stays as it is."""
    message: str
    field: str | None = None
    allowed: list[str] | None = None


class ProblemDetails(msgspec.Struct, kw_only=True, frozen=True):
    """A refusal or failure: RFC 9457's problem details, and `error`."""

    type: str
    title: str
    status: int
    detail: str
    error: ProblemError
