"""Our side of a recorded step: BullMQ's verbs, done through the contract of a backend."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from tests.backends.redis.replay import SHIFT_MS
from tests.support.redis_clock import RedisClock
from tests.support.redis_servers import RedisServer

from toril.backends.redis.dispatch import RedisDispatch
from toril.backends.redis.jobs import RedisJobs
from toril.core.errors import (
    InvalidOptionError,
    JobNotFoundError,
    StoreForeignError,
    WrongStateError,
)
from toril.core.ids import check_job_id
from toril.engine.contract import (
    Backend,
    Claim,
    Exchange,
    ExchangeReply,
    HeldJob,
    JobFilter,
    NewNode,
)
from toril.engine.contract.dispatch import AttemptMessage
from toril.engine.deduplication import DeduplicationRule
from toril.engine.flow import FLAGS, Fate, OnFailure, ParentRef
from toril.engine.job import Claimed, Finished, JobRecord, NewJob, OutcomeKind
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.schedules.record import ScheduleRecord
from toril.engine.schedules.saving import save
from toril.engine.schedules.slots import Timing
from toril.engine.states import State

Q = "q1"
LEASE_MS = 30_000
NO_LIMIT = 1_000_000

_SHORT_NAMES = {
    "deduplication": "de",
    "failParentOnFailure": "fpof",
    "continueParentOnFailure": "cpof",
    "ignoreDependencyOnFailure": "idof",
    "removeDependencyOnFailure": "rdof",
    "keepLogs": "kl",
}


@dataclass(frozen=True)
class Tree:
    """A node of a flow as Node's producers write it."""

    queue: str
    job_id: str
    name: str
    data: object = None
    children: tuple[Tree, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class Unspoken:
    """The result of a step that BullMQ answers with nothing that we could tell."""


UNSPOKEN = Unspoken()


@dataclass(frozen=True)
class Refused:
    """The result of a step that we refuse."""

    why: str
    """The word, or the name of the error."""


class Replay:
    """BullMQ's verbs, under their names in the recordings, on our backend."""

    def __init__(self, backend: Backend, server: RedisServer, clock: RedisClock) -> None:
        self.backend = backend
        self.server = server
        self.clock = clock
        self.worker = ""
        """The worker's name, which BullMQ's workers need not have."""
        self.rate: tuple[int, int] | None = None
        """The worker's own limit: so many in so many milliseconds."""
        self.keep: dict[str, int | None] = {}
        """The worker's own keep policy."""
        self.keep_metrics(0)

    def keep_metrics(self, points: int) -> None:
        """Keep so many minutes of metrics: unlike ours, BullMQ's workers have to be told to."""
        dispatch, jobs = self.backend.dispatch, self.backend.jobs
        assert isinstance(dispatch, RedisDispatch)
        assert isinstance(jobs, RedisJobs)
        dispatch.exchanging.metrics_points = jobs.metrics_points = points

    def tick(self, ms: int) -> None:
        """Let time pass."""
        self.clock.advance(ms / 1000)

    async def add(
        self, name: str = "a", data: object = None, *, queue: str = Q, **options: Any
    ) -> str | Refused:
        """Add a job with options as Node's producers write them. `data` None: left out."""
        wire: dict[str, Any] = {"attempts": 0}
        for option, value in options.items():
            wire[_SHORT_NAMES.get(option, option)] = value
        if isinstance(backoff := options.get("backoff"), int):
            wire["backoff"] = {"type": "fixed", "delay": backoff}
        try:
            job_id = options.get("jobId")
            job = NewJob(
                queue=queue,
                name=name,
                data=_text({} if data is None else data),
                opts=json.dumps(wire),
                job_id=None if job_id is None else check_job_id(job_id),
                delay_ms=options.get("delay", 0),
                priority=options.get("priority", 0),
                lifo=options.get("lifo", False),
                timestamp_ms=options.get("timestamp"),
                deduplication=_rule(options.get("deduplication")),
            )
            (added,) = await self.backend.jobs.add([job])
        except InvalidOptionError as error:
            return Refused(type(error).__name__)
        return added.job_id

    async def exchange(
        self, outcomes: Sequence[Finished] = (), *, queue: str | None = None
    ) -> ExchangeReply:
        """Hand over outcomes; take one job if `queue` says from where."""
        claims = []
        if queue is not None:
            limits = {}
            if self.rate is not None:
                limits = {"rate_limit": self.rate[0], "rate_window_ms": self.rate[1]}
            claims = [Claim(queue, 1, LEASE_MS, **limits)]
        reply = await self.backend.dispatch.exchange(
            Exchange(worker_id=self.worker, outcomes=outcomes, claims=claims, room=1)
        )
        for job in reply.claimed:
            assert self.lock(job.id, job.queue) == job.token
            hold = HeldJob(job.queue, job.number, job.token, LEASE_MS, job.attempts_started)
            assert await ScheduleKeeper(self.backend.schedules).took(job, hold)
        return reply

    async def upsert(
        self,
        schedule_id: str,
        *,
        name: str,
        timing: Timing,
        data: object = None,
        opts: dict[str, Any] | None = None,
        limit: int | None = None,
        immediately: bool = False,
    ) -> str:
        """Make or change a schedule; return the id of its job."""
        wanted = ScheduleRecord(
            queue=Q,
            id=schedule_id,
            name=name,
            data=None if data is None else _text(data),
            opts=json.dumps(opts or {}),
            timing=timing,
            limit=limit,
            next_ms=0,
        )
        saved = await save(self.backend.schedules, wanted, immediately=immediately)
        return saved.job_id

    async def schedulers(self, *ids: str) -> list[dict[str, Any]]:
        """Return what BullMQ says of some schedules. None given: of all."""
        wanted = ids or await self.backend.schedules.ids(Q)
        reading = await self.backend.schedules.read(Q, wanted)
        return [_scheduler(one) for one in reading.schedules if one is not None]

    async def take(self, queue: str = Q) -> dict[str, Any] | None:
        """Take the next job and return what BullMQ says of one that was taken."""
        claimed = (await self.exchange(queue=queue)).claimed
        if not claimed:
            return None
        record = await self.backend.jobs.get(queue, claimed[0].id)
        assert record is not None
        return _view(claimed[0], record)

    async def take_id(self, queue: str = Q) -> str | None:
        """Take the next job and return its id."""
        job = await self.take(queue)
        return None if job is None else job["id"]

    async def end(
        self,
        kind: OutcomeKind,
        job_id: str,
        *,
        queue: str = Q,
        token: str | None = None,
        fetch: bool = False,
        **fields: Any,
    ) -> Any:
        """Hand over how an attempt ended, as the worker that holds the job.

        Returns:
            What was taken next, where BullMQ says that.
        """
        counts = kind in ("completed", "failed", "retried")
        made = int(self.field(job_id, "atm", queue) or 0) + counts
        if kind in ("completed", "failed"):
            fields = {**self.keep, **fields}
        outcome = Finished(
            queue=queue,
            number=job_id,
            job_id=job_id,
            token=token or self.lock(job_id, queue) or "",
            kind=kind,
            attempt=int(self.field(job_id, "ats", queue) or 0),
            attempts_made=made,
            worker_id=self.worker,
            started_ms=self.clock.now_ms(),
            **fields,
        )
        reply = await self.exchange([outcome], queue=queue if fetch else None)
        if reply.words != ["ok"]:
            return Refused(reply.words[0])
        return {"nextId": reply.claimed[0].id} if reply.claimed else UNSPOKEN

    async def complete(self, job_id: str, value: object = None, **how: Any) -> Any:
        """Complete a job."""
        return await self.end("completed", job_id, value=_text(value), **how)

    async def fail(
        self,
        job_id: str,
        error: str,
        *,
        kind: str = "Error",
        retry_ms: int | None = None,
        queue: str = Q,
        **how: Any,
    ) -> Any:
        """Fail an attempt: for good, or to be retried after a while."""
        told: dict[str, Any] = {"reason": error, "traceback": f"{kind}: {error}\nand where"}
        if retry_ms is not None:
            return await self.end("retried", job_id, queue=queue, wait_ms=retry_ms, **told, **how)
        made = int(self.field(job_id, "atm", queue) or 0) + 1
        allowed = json.loads(self.field(job_id, "opts", queue) or "{}")["attempts"]
        return await self.end(
            "failed", job_id, queue=queue, exhausted=made >= allowed, **told, **how
        )

    async def say(self, job_id: str, *, progress: object) -> None:
        """Report progress, as the worker that holds the job."""
        attempt = int(self.field(job_id, "ats") or 0)
        token = self.lock(job_id) or ""
        said = AttemptMessage(Q, job_id, job_id, token, attempt, progress=_text(progress))
        assert await self.backend.dispatch.speak([said]) == ["ok"]

    async def extend_lock(self, job_id: str, lease_ms: int) -> int:
        """Renew a lease, as the worker that holds the job."""
        attempt = int(self.field(job_id, "ats") or 0)
        hold = HeldJob(Q, job_id, self.lock(job_id) or "", lease_ms, attempt)
        return 0 if self.backend.dispatch.renew(self.worker, [hold]).lost else 1

    async def check_stalled(self) -> list[str]:
        """Look for stalled jobs, as every worker does now and then; return the ids found."""
        self.server.command("SADD", "bull::toril:queues", Q)
        recovery = await self.backend.dispatch.recover(
            max_stalled=1, heartbeat_s=60.0, limit=100, fresh_ms=30_000
        )
        return [job_id for _, job_id in recovery.recovered]

    async def ids(
        self, *states: State, newest_first: bool = False, start: int = 0, limit: int = 100
    ) -> list[str]:
        """Return ids of states, as a page of them."""
        page = await self.backend.jobs.page(
            JobFilter(queue=Q, states=states, limit=start + limit, newest_first=newest_first)
        )
        return [job.id for job in page.jobs[start:]]

    async def refused(self, act: Awaitable[object]) -> Any:
        """Do something that may be refused."""
        try:
            await act
        except (WrongStateError, InvalidOptionError, StoreForeignError) as error:
            return Refused(type(error).__name__)
        return UNSPOKEN

    def field(self, job_id: str, name: str, queue: str = Q) -> str | None:
        """Return a field of a job's hash."""
        found: str | None = self.server.command("HGET", f"bull:{queue}:{job_id}", name)
        return found

    def lock(self, job_id: str, queue: str = Q) -> str | None:
        """Return the token of the claim that holds a job."""
        found: str | None = self.server.command("GET", f"bull:{queue}:{job_id}:lock")
        return found

    async def flow(self, tree: Tree, parent: ParentRef | None = None) -> dict[str, Any] | Refused:
        """Add a tree as Node's flow producer adds it; return the ids."""
        try:
            await self.backend.flows.add(_nodes(tree, parent))
        except (WrongStateError, JobNotFoundError) as error:
            return Refused(type(error).__name__)
        return {"id": tree.job_id, "kids": [child.job_id for child in tree.children]}

    async def dependencies(self, job_id: str, queue: str) -> dict[str, Any]:
        """Return what a parent knows of its children, as Node's `getDependencies` does."""
        page = await self.backend.flows.children(queue, job_id, limit=100)
        of = {fate: [one for one in page.children if one.fate == fate] for fate in get_args(Fate)}
        return {
            "processed": {one.key: json.loads(one.value or "null") for one in of["completed"]},
            "unprocessed": [one.key for one in of["pending"]],
            "failed": [one.key for one in of["failed"]],
            "ignored": {one.key: one.value for one in of["ignored"]},
        }


def _nodes(tree: Tree, parent: ParentRef | None) -> list[NewNode]:
    wire = {"attempts": 0, "jobId": tree.job_id}
    wire |= {_SHORT_NAMES.get(name, name): value for name, value in tree.options.items()}
    job = NewJob(
        queue=tree.queue,
        name=tree.name,
        data=_text({} if tree.data is None else tree.data),
        opts=json.dumps(wire),
        job_id=tree.job_id,
        delay_ms=tree.options.get("delay", 0),
        priority=tree.options.get("priority", 0),
    )
    found = [NewNode(job=job, parent=parent, waits=bool(tree.children))]
    for child in tree.children:
        said = {_SHORT_NAMES.get(name, name) for name in child.options}
        policy: OnFailure = next((known for known, flag in FLAGS.items() if flag in said), "wait")
        found += _nodes(child, ParentRef(tree.queue, tree.job_id, policy))
    return found


def _rule(said: dict[str, Any] | None) -> DeduplicationRule | None:
    if said is None:
        return None
    return DeduplicationRule(
        id=said["id"],
        ttl_ms=said.get("ttl"),
        extend=said.get("extend", False),
        replace=said.get("replace", False),
        reschedule=said.get("reschedule", False),
        keep_last_if_active=said.get("keepLastIfActive", False),
    )


def _scheduler(one: ScheduleRecord) -> dict[str, Any]:
    timing = one.timing
    view: dict[str, Any] = {
        "key": one.id,
        "name": one.name,
        "next": one.next_ms,
        "iterationCount": one.made,
        "every": timing.every_ms,
        "tz": timing.timezone,
        "pattern": timing.pattern,
        "offset": timing.offset_ms,
        "template": {"data": json.loads(one.data or "{}"), "opts": json.loads(one.opts)},
    }
    return {name: value for name, value in view.items() if value is not None}


def _text(value: object) -> str:
    """Return JSON text as Node writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _view(job: Claimed, record: JobRecord) -> dict[str, Any]:
    view = {
        "id": job.id,
        "name": job.name,
        "data": json.loads(job.data),
        "attemptsMade": job.attempts_made,
        "attemptsStarted": job.attempts_started,
        "processedOn": job.started_ms - (0 if record.id.startswith("repeat:") else SHIFT_MS),
        "priority": record.priority,
        "stalledCounter": record.stalled,
    }
    if job.deferred_failure is not None:
        view["deferredFailure"] = job.deferred_failure
    return view
