"""What the REST interface is sent: bodies, and parameters of queries.

All of them refuse unknown names. Durations are seconds and end in `_s`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from toril.engine.states import State

Limit = Annotated[int, Meta(ge=1, le=1000)]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Reason = Annotated[str, Meta(max_length=2000)]
Seconds = Annotated[float, Meta(ge=0, le=3_155_760_000)]
Count = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Priority = Annotated[int, Meta(ge=0, le=2_097_151)]
MOST_JOBS = 1000
"""Jobs of one call."""


class Query(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Parameters of a query. None: it takes none."""


class Fields(Query, kw_only=True, frozen=True):
    """Which part of each item is wanted."""

    fields: str | None = None
    """Only these fields of each item, with commas between. Default: all."""


class ListQuery(Fields, kw_only=True, frozen=True):
    """A list that is given whole."""


class QueueQuery(Fields, kw_only=True, frozen=True):
    """Which queues."""

    prefix: str | None = None
    """Only those whose name begins so."""
    sort: Literal["name", "-waiting", "-failed", "-active", "-oldest"] = "name"
    """`-oldest`: those first whose next job waits longest."""
    limit: Limit = 1000
    after: str | None = None
    """`next` of the page before."""


class JobQuery(Fields, kw_only=True, frozen=True):
    """Which jobs of a queue."""

    state: list[State] = []
    """Of one state; more than once: of several, one after the other. Default: all."""
    limit: Limit = 50
    after: str | None = None
    """`next` of the page before."""
    newest_first: bool = False
    """Each state from its end. Default: in the order in which they will run, or have ended."""


class LineQuery(Fields, kw_only=True, frozen=True):
    """Which lines of a log."""

    limit: Limit = 200
    after: str | None = None
    """`next` of the page before."""


class EventQuery(Fields, kw_only=True, frozen=True):
    """Which events of a queue."""

    limit: Limit = 100
    after: Annotated[int, Meta(ge=0)] | None = None
    """Those after this position, oldest first. Default: the newest."""


class PartQuery(Fields, kw_only=True, frozen=True):
    """How much of a list without pages."""

    limit: Limit = 50


class HistoryQuery(Query, kw_only=True, frozen=True):
    """Which span of a queue's history."""

    task: Text | None = None
    """Only this task. Default: all of them."""
    since: datetime | None = None
    """From when on."""
    since_s: Seconds | None = None
    """In place of `since`: from how long ago. Default: 6 hours before the end."""
    until: datetime | None = None
    """Default: now."""
    step_s: Seconds | None = None
    """How long a point is: whole minutes. Default: one that gives at most some 200 points."""
    buckets: bool = False
    """Give the buckets of each histogram, for other percentiles than those that are given."""


class MetricsQuery(Query, kw_only=True, frozen=True):
    """Which figures."""

    queue: list[str] = []
    """Only of this queue; more than once: of several. Default: all that the caller may see."""


class ScalingQuery(MetricsQuery, kw_only=True, frozen=True):
    """How much to do, and for whom."""

    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 10
    """Jobs that one worker runs at once, if none is alive to tell."""


class FlowQuery(Query, kw_only=True, frozen=True):
    """How much of a flow."""

    limit: Annotated[int, Meta(ge=1, le=5000)] = 200
    """Jobs at most."""


class FlowsQuery(PartQuery, kw_only=True, frozen=True):
    """Which flows."""

    queue: str | None = None
    """Only those whose root is in this queue."""


class ScheduleQuery(Fields, kw_only=True, frozen=True):
    """Which schedules."""

    queue: str | None = None
    """Only those of this queue."""
    limit: Limit = 1000
    after: str | None = None
    """`next` of the page before."""


class LetterQuery(Fields, kw_only=True, frozen=True):
    """Which letters."""

    queue: str | None = None
    """Only of jobs that were in this queue."""
    task: str | None = None
    """Only of jobs of this name."""
    error: str | None = None
    """Only where the reason contains this."""
    redriven: bool | None = None
    """Only those whose job was brought back, or was not."""
    limit: Limit = 50
    after: str | None = None
    """`next` of the page before."""


class ErrorQuery(Fields, kw_only=True, frozen=True):
    """Which failures."""

    queue: str | None = None
    """Only those of this queue."""
    look_at: Annotated[int, Meta(ge=1, le=2000)] = 500
    """How many failed jobs to look at in all, the newest of each queue."""


class RemoveQuery(Query, kw_only=True, frozen=True):
    """What to remove along."""

    below: bool = False
    """Also all that is below it in its flow."""


class StreamQuery(Query, kw_only=True, frozen=True):
    """What to be told, live."""

    topics: str = "overview"
    """`overview`, `workers`, `store` and `queue:NAME`, with commas between."""


class Body(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is sent. A subclass says what."""


class Act(Body, kw_only=True, frozen=True):
    """A change that needs no more than its reason."""

    reason: Reason | None = None
    """Why, for the log of changes."""


class DeduplicationBody(Body, kw_only=True, frozen=True):
    """Add the job only if no other one holds this id."""

    id: Text
    ttl_s: Seconds | None = None
    """How long it holds the id. None: until it finishes."""


class KeepBody(Body, kw_only=True, frozen=True):
    """How long a finished job is kept."""

    count: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    age_s: Seconds | None = None


class NewJobBody(Body, kw_only=True, frozen=True):
    """A job to add."""

    name: Text
    """Its task."""
    data: Any = msgspec.field(default_factory=dict)
    """Its payload."""
    job_id: Text | None = None
    """An id of your own; a second job with it is not added."""
    delay_s: Seconds = 0.0
    """Run no sooner than so many seconds from now."""
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    """In place of `delay_s`."""
    priority: Priority = 0
    """1 and up, lower first. 0: none, which runs before all others."""
    lifo: bool = False
    """Go to the front of the line."""
    max_attempts: Count | None = None
    """None: as its task says."""
    backoff: Literal["fixed", "exponential"] | None = None
    backoff_s: Seconds | None = None
    jitter_ratio: Annotated[float, Meta(ge=0, le=1)] | None = None
    keep_completed: KeepBody | None = None
    keep_failed: KeepBody | None = None
    keep_logs: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    deduplication: DeduplicationBody | None = None


class NewJobsBody(Body, kw_only=True, frozen=True):
    """Jobs to add, all or none."""

    jobs: Annotated[list[NewJobBody], Meta(min_length=1, max_length=MOST_JOBS)]


class RetryBody(Act, kw_only=True, frozen=True):
    """How to try again."""

    reset_attempts: bool = True
    """Give it its full number of attempts again."""


class ChangeBody(Act, kw_only=True, frozen=True):
    """What to change of a job. What is left out stays as it is."""

    data: Any = UNSET
    """Its payload."""
    delay_s: Seconds | UnsetType = UNSET
    """`delayed`: make it due so many seconds from now."""
    priority: Priority | UnsetType = UNSET
    lifo: bool = False
    """With `priority`: go to the front of the line of that priority."""


class LimitsBody(Act, kw_only=True, frozen=True):
    """The limits of a queue. What is left out stays; null takes a limit away."""

    concurrency: Count | UnsetType | None = UNSET
    """Jobs at once, over all workers."""
    rate_limit: Count | UnsetType | None = UNSET
    """Starts in each window, over all workers."""
    rate_window_s: Annotated[float, Meta(ge=0.001, le=3_155_760_000)] = 1.0
    """With `rate_limit`: how long a window is."""
    hold_s: Seconds | UnsetType = UNSET
    """Let nothing start for so long. 0 ends it."""
    events: Literal["all", "outcomes", "none"] | UnsetType = UNSET
    """Which events it writes."""
    history: bool | UnsetType = UNSET
    """Whether what it does is written to its history. What is there stays."""
    dead_letter: Text | UnsetType | None = UNSET
    """Where its failures leave letters. null: nowhere."""
    dead_letter_keep_s: Seconds | None = None
    """With `dead_letter`: letters that are older are removed."""


class DrainBody(Act, kw_only=True, frozen=True):
    """What to remove of a line."""

    delayed: bool = False
    """Jobs that are due later, too."""


class CleanBody(Act, kw_only=True, frozen=True):
    """Which jobs to remove."""

    state: Literal["wait", "prioritized", "delayed", "completed", "failed"] = "completed"
    older_than_s: Seconds = 0.0
    """Only those that finished (or were added) longer ago."""
    limit: Count | None = None
    """At most so many. None: all."""


class RetryAllBody(Act, kw_only=True, frozen=True):
    """Which jobs to try again."""

    state: Literal["failed", "completed"] = "failed"
    limit: Count | None = None
    """At most so many. None: all."""
    reset_attempts: bool = True


class ManyBody(Act, kw_only=True, frozen=True):
    """How many."""

    limit: Count | None = None
    """At most so many. None: all."""


class ObliterateBody(Act, kw_only=True, frozen=True):
    """Removing a whole queue."""

    confirm: Text
    """The name of the queue once more."""
    force: bool = False
    """Also while jobs of it run."""


class ScheduleBody(Act, kw_only=True, frozen=True):
    """A schedule."""

    name: Text
    """The name of its jobs: their task."""
    data: Any = msgspec.field(default_factory=dict)
    """The payload of each job."""
    cron: Annotated[str, Meta(max_length=200)] | None = None
    """Five fields, six with seconds first, or `@daily` and its kin. Excludes `every_s`."""
    every_s: Seconds | None = None
    timezone: Annotated[str, Meta(max_length=100)] | None = None
    """Whose local time `cron` means."""
    start: Annotated[datetime, Meta(tz=True)] | None = None
    end: Annotated[datetime, Meta(tz=True)] | None = None
    limit: Count | None = None
    """How many jobs in all."""
    offset_s: Seconds | None = None
    immediately: bool = False
    jitter_s: Seconds = 0.0
    missed: Literal["skip", "one", "all"] = "one"
    priority: Priority = 0
    max_attempts: Count | None = None


class RedriveBody(Act, kw_only=True, frozen=True):
    """How to bring a job back."""

    data: Any = UNSET
    """Another payload for the job."""


class RedriveAllBody(Act, kw_only=True, frozen=True):
    """Which jobs to bring back."""

    queue: Text | None = None
    task: Text | None = None
    error: Reason | None = None
    limit: Count | None = None


class LettersBody(RedriveAllBody, kw_only=True, frozen=True):
    """Which letters to remove."""

    redriven: bool | None = None


class KeyBody(Act, kw_only=True, frozen=True):
    """A key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    """What it is called in the audit log."""
    role: Literal["viewer", "submitter", "operator", "admin"]
    queues: Annotated[list[Text], Meta(min_length=1, max_length=200)] | None = None
    """Only these: names, or patterns with `*`. None: all."""
    payloads: bool = False
    """It may see what jobs carry."""
    expires_s: Annotated[float, Meta(gt=0, le=3_155_760_000)] | None = None
    """After how long it ends. None: never."""


class UserBody(Act, kw_only=True, frozen=True):
    """A user to add."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    password: Annotated[str, Meta(min_length=12, max_length=1000)]
    role: Literal["viewer", "submitter", "operator", "admin"]
    queues: Annotated[list[Text], Meta(min_length=1, max_length=200)] | None = None
    """Only these: names, or patterns with `*`. None: all."""
    payloads: bool = False
    """The user may see what jobs carry."""


class RightsBody(Act, kw_only=True, frozen=True):
    """Other rights of a user. What is left out stays as it is."""

    role: Literal["viewer", "submitter", "operator", "admin"] | UnsetType = UNSET
    queues: Annotated[list[Text], Meta(min_length=1, max_length=200)] | UnsetType | None = UNSET
    """Only these: names, or patterns with `*`. null: all."""
    payloads: bool | UnsetType = UNSET
    """The user may see what jobs carry."""
    version: Annotated[str, Meta(max_length=100)] | None = None
    """Only if the rights are still those of this `version`, as the list of users has it."""


class RemoveUserQuery(Query, kw_only=True, frozen=True):
    """How to remove a user."""

    last: bool = False
    """Also the last one who is an administrator for all queues."""


class SessionQuery(ListQuery, kw_only=True, frozen=True):
    """Which sessions."""

    kind: Literal["user", "key"] | None = None
    """Only those of users, or of keys with which somebody has signed in."""
    name: Text | None = None
    """Only those of the user or the key of this name."""


class WhoseQuery(Query, kw_only=True, frozen=True):
    """Whose sessions."""

    name: Text
    """Of the user or the key."""
    kind: Literal["user", "key"] = "user"


class OthersQuery(Query, kw_only=True, frozen=True):
    """Which of one's own sessions."""

    others: bool = False
    """Not the one that asks."""


class PasswordBody(Act, kw_only=True, frozen=True):
    """Another password."""

    password: Annotated[str, Meta(min_length=12, max_length=1000)]


class SignInBody(Body, kw_only=True, frozen=True):
    """Who signs in with a browser: a user, or somebody with a key."""

    name: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    password: Annotated[str, Meta(max_length=1000)] | None = None
    key: Annotated[str, Meta(max_length=512)] | None = None
    """In place of name and password."""


class AuditQuery(Fields, kw_only=True, frozen=True):
    """Which entries of the audit log."""

    actor: str | None = None
    """Only what this actor did, such as `user:jo`."""
    verb: str | None = None
    """Only this method, such as `retry_all`."""
    queue: str | None = None
    """Only what was done to this queue and its jobs."""
    job_id: str | None = None
    """Only what was done to jobs of this id."""
    since: Annotated[datetime, Meta(tz=True)] | None = None
    """Only what was done then or later."""
    limit: Limit = 50
    after: str | None = None
    """`next` of the page before."""


class MuteBody(Act, kw_only=True, frozen=True):
    """Alerts of which nobody is to be told for a while."""

    rule: Text = "*"
    """A rule, or a pattern with `*`."""
    queue: Text = "*"
    """A queue, or a pattern with `*`."""
    duration_s: Annotated[float, Meta(gt=0, le=31_536_000)]
    """For how long. What is still raised then is told."""


class UnmuteBody(Act, kw_only=True, frozen=True):
    """A mute to end: in the words in which it was made."""

    rule: Text = "*"
    queue: Text = "*"


class SearchQuery(Fields, kw_only=True, frozen=True):
    """Which jobs, of all queues."""

    q: Annotated[str, Meta(max_length=2000)] = ""
    """What to look for, such as `state:failed name:receipt since:1h`."""
    limit: Limit = 50
    after: str | None = None
    """`next` of the page before, of the same search."""
    budget_s: Annotated[float, Meta(ge=0, le=8)] = 2.0
    """How long to look."""


class PlanQuery(Query, kw_only=True, frozen=True):
    """A search."""

    q: Annotated[str, Meta(max_length=2000)] = ""
    """What to look for."""


class OperationBody(Act, kw_only=True, frozen=True):
    """An operation on many jobs."""

    action: Literal["retry", "remove", "promote", "cancel", "move"]
    query: Annotated[str, Meta(max_length=2000)] | None = None
    """A search that finds them."""
    queue: Text | None = None
    """In place of a search: the queue of jobs that are named by id."""
    ids: Annotated[list[str], Meta(min_length=1, max_length=10_000)] | None = None
    """Their ids."""
    max_per_s: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    """Jobs a second at most. None: as fast as the store takes them."""
    reset_attempts: bool = True
    """`retry`: give each its full number of attempts again."""
    to: Text | None = None
    """`move`: the other queue."""
    keep_s: Annotated[float, Meta(ge=0, le=86_400)] = 600.0
    """`remove`: for how long the jobs can be put back."""


class OperationsQuery(Fields, kw_only=True, frozen=True):
    """Which operations."""

    limit: Limit = 50


class TellBody(Act, kw_only=True, frozen=True):
    """What a worker is to do."""

    wish: Literal["pause", "resume", "quiet", "stop", "resize"]
    """`pause`: take no jobs until `resume`. `quiet`: take none any more. `stop`: leave in order.
    `resize`: run another number of jobs at once."""
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """`resize`: how many jobs at once."""


class LogBody(Act, kw_only=True, frozen=True):
    """A log line."""

    line: Annotated[str, Meta(max_length=20_000)]
