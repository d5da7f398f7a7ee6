"""What a store should do, in lists and dictionaries: the model that `test_model.py` compares with.

A job is known by its label, the order of its arrival. Every move is checked against the table of
`engine/states.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from toril.engine.deduplication import DeduplicationRule
from toril.engine.flow import Fate, ParentRef
from toril.engine.states import FINISHED, READY, State, may

LEASE_MS = 30_000
JobKey = tuple[str, str]
"""Queue and id of a job that has an id of its caller's."""


class Now(NamedTuple):
    """What time it is."""

    ms: int
    """By the calendar."""
    steady_ms: int

    def after(self, wait_ms: int) -> Now:
        """Return when a wait is over, by each clock."""
        return Now(self.ms + wait_ms, self.steady_ms + wait_ms)

    def until(self, end: Now) -> int:
        """Return how long it is to the end of a wait: whichever clock has it sooner."""
        return min(end.ms - self.ms, end.steady_ms - self.steady_ms)


NOT_DELAYED = LONG_AGO = Now(0, 0)


@dataclass
class ModelJob:
    """One job."""

    label: int
    queue: str
    own_id: str | None
    priority: int
    state: State | None = None
    due: Now = NOT_DELAYED
    delayed_as: int = 0
    lease_ends_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    claim: int | None = None
    attempts_made: int = 0
    attempts_started: int = 0
    stalled: int = 0
    deferred: str | None = None
    cancelled: str | None = None
    obliterated: bool = False
    """It has gone together with its queue."""
    history: list[str] = field(default_factory=list)
    delay_ms: int = 0
    """How long its last wait was to be. 0: it has been in line since."""
    parent: ParentRef | None = None
    children: dict[JobKey, Fate] = field(default_factory=dict)
    """What it knows of its children, in the order in which they were added."""


@dataclass
class ModelHold:
    """A de-duplication id that a job holds."""

    label: int
    ends: Now | None
    aside: dict[str, Any] | None = None
    """How to add the job that was put aside."""


class ModelQueue:
    """One queue."""

    def __init__(self) -> None:
        self.known = False
        self.paused = False
        self.line: list[ModelJob] = []
        self.delayed: list[ModelJob] = []
        self.active: list[ModelJob] = []
        self.parked: list[ModelJob] = []
        """Parents that wait for children."""
        self.finished: dict[State, list[ModelJob]] = {State.COMPLETED: [], State.FAILED: []}
        self.totals = {State.COMPLETED: 0, State.FAILED: 0}
        self.holds: dict[str, ModelHold] = {}

    def labels(self, state: State) -> list[int]:
        """Return the jobs of a state in its order."""
        if state in READY:
            found = [job for job in self.line if job.state is state]
        elif state is State.DELAYED:
            found = sorted(self.delayed, key=lambda job: (job.due.ms, job.delayed_as))
        elif state is State.WAITING_CHILDREN:
            found = sorted(self.parked, key=lambda job: job.label)
        elif state is State.ACTIVE:
            found = sorted(self.active, key=lambda job: (job.started_ms, job.label))
        else:
            found = sorted(
                self.finished.get(state, []), key=lambda job: (job.finished_ms, job.label)
            )
        return [job.label for job in found]


class ModelAnswer(NamedTuple):
    """What became of a new job."""

    added: ModelJob | None
    holder: ModelJob | None = None
    """Whose id is the answer; None: of the one that has the id that the caller chose."""


class Model:
    """All queues, and the rules."""

    def __init__(self, queues: tuple[str, ...]) -> None:
        self.queues = {name: ModelQueue() for name in queues}
        self.jobs: dict[int, ModelJob] = {}
        self.claims: list[int] = []
        """Label of the job of each claim that was ever made."""
        self.moves = 0

    def add(
        self,
        queue: str,
        *,
        own_id: str | None,
        priority: int,
        delay_ms: int,
        lifo: bool,
        now: Now,
        rule: DeduplicationRule | None = None,
    ) -> ModelAnswer:
        """Add a job, unless its id is taken, or another one holds its de-duplication id."""
        self.queues[queue].known = True
        if own_id is not None and self.find(queue, own_id) is not None:
            return ModelAnswer(None)
        job = ModelJob(len(self.jobs), queue, own_id, priority)
        if rule is not None:
            how = {"own_id": own_id, "priority": priority, "delay_ms": delay_ms, "lifo": lifo}
            holder = self._deduplicate(job, rule, how, now)
            if holder is not None:
                return ModelAnswer(None, holder)
        self.jobs[job.label] = job
        if delay_ms > 0:
            self._delay(job, now.after(delay_ms), "add", delay_ms)
        else:
            self._line_up(job, "add", front=lifo)
        return ModelAnswer(job)

    def hold(self, queue: str, deduplication_id: str, now: Now) -> ModelHold | None:
        """Return who holds an id."""
        hold = self.queues[queue].holds.get(deduplication_id)
        return hold if hold and (hold.ends is None or now.until(hold.ends) > 0) else None

    def release(self, queue: str, deduplication_id: str, now: Now) -> bool:
        """Let the next job have an id; a job put aside stays so until the holder has finished."""
        hold = self.hold(queue, deduplication_id, now)
        if hold is not None:
            hold.ends = LONG_AGO
        return hold is not None

    def _deduplicate(
        self, new: ModelJob, rule: DeduplicationRule, how: dict[str, Any], now: Now
    ) -> ModelJob | None:
        """Return the job that a new one gives way to."""
        holds = self.queues[new.queue].holds
        hold = self.hold(new.queue, rule.id, now)
        ends = None if rule.hold_ms is None else now.after(rule.hold_ms)
        if hold is None:
            holds[rule.id] = ModelHold(new.label, ends)
            return None
        known = self.jobs[hold.label]
        holder = self._found(known)
        state = None if holder is None else holder.state
        if rule.keep_last_if_active and state is State.ACTIVE:
            hold.ends, hold.aside = None, how
        elif rule.replace:
            if holder is None or state is not State.DELAYED:
                return known
            self.remove(holder)
            left = hold.ends if rule.hold_ms is not None and not rule.extend else ends
            holds[rule.id] = ModelHold(new.label, left)
            return None
        elif rule.extend and ends is None and holder is None:
            del holds[rule.id]
        elif rule.extend:
            hold.ends = ends
        if rule.reschedule and holder is not None and state is State.DELAYED:
            self.change_delay(holder, now.after(how["delay_ms"]))
        return known

    def _found(self, job: ModelJob) -> ModelJob | None:
        """Return the job that has a job's id now.

        A keep policy may have removed the job. An id of the caller's may then belong to another
        job; a number belongs to nobody.
        """
        if job.own_id is not None:
            return self.find(job.queue, job.own_id)
        return None if job.state is None else job

    def _let_go(self, job: ModelJob, now: Now) -> None:
        """A job has finished: an id without a time is free; a job put aside is added anyway."""
        holds = self.queues[job.queue].holds
        for deduplication_id, hold in list(holds.items()):
            if hold.label == job.label and (hold.ends is None or hold.aside is not None):
                del holds[deduplication_id]
                if hold.aside is not None:
                    added = self.add(job.queue, now=now, **hold.aside).added
                    if added is not None:
                        holds[deduplication_id] = ModelHold(added.label, None)

    def find(self, queue: str, own_id: str) -> ModelJob | None:
        """Return the job that has an id of its caller's now."""
        for job in self.jobs.values():
            if (job.queue, job.own_id) == (queue, own_id) and job.state is not None:
                return job
        return None

    def claim(self, queue: str, limit: int, *, now: Now) -> list[ModelJob]:
        """Promote what is due, then lease the next jobs."""
        mine = self.queues[queue]
        for label in mine.labels(State.DELAYED):
            if now.until(self.jobs[label].due) <= 0:
                self._line_up(self.jobs[label], "promote")
        if mine.paused:
            return []
        taken = mine.line[:limit]
        for job in taken:
            self._move(job, State.ACTIVE, "claim")
            job.attempts_started += 1
            job.started_ms = now.ms
            job.lease_ends_ms = now.steady_ms + LEASE_MS
            job.lease_ends_ms -= job.lease_ends_ms % 2  # odd once it was renewed
            job.claim = len(self.claims)
            self.claims.append(job.label)
        return taken

    def next_due_ms(self, queue: str, now: Now) -> int | None:
        """Return when to ask again, if a delayed job says so."""
        mine = self.queues[queue]
        due = [now.until(job.due) for job in mine.delayed]
        return None if mine.paused or not due else min(due)

    def finish(self, claim: int, kind: str, *, wait_ms: int, keep: int | None, now: Now) -> bool:
        """End an attempt. False: the claim holds no more."""
        job = self.jobs[self.claims[claim]]
        if job.claim != claim:
            return False
        job.attempts_made += kind in ("completed", "failed", "retried")
        job.history.append(kind)
        if kind in ("completed", "failed"):
            self._finish(job, State(kind), "finish", now)
            job.cancelled = job.deferred = None
            if keep is not None:
                for label in self.queues[job.queue].labels(State(kind))[::-1][keep:]:
                    if keep or label == job.label:
                        self._move(self.jobs[label], None, "trim")
            return True
        job.deferred = job.cancelled or job.deferred
        if kind != "released":
            job.stalled = 0
        if kind == "waiting_children" and job.cancelled is None:
            self._move(job, State.WAITING_CHILDREN, "wait_for_children")
            self._release_if_done(job, now)
        elif kind != "released" and wait_ms and job.cancelled is None:
            self._delay(job, now.after(wait_ms), "retry", wait_ms)
        else:
            self._line_up(job, "retry", front=kind == "released")
        return True

    def _release_if_done(self, job: ModelJob, now: Now) -> None:
        """Let a parent go on that waits for no child any more."""
        if "pending" not in job.children.values():
            self._release(job, now)

    def _release(self, job: ModelJob, now: Now) -> None:
        """Let a parent go on, after the wait that it was added with: it is the next to run."""
        if job.state is not State.WAITING_CHILDREN:
            return
        if job.delay_ms:
            self._delay(job, now.after(job.delay_ms), "release_parent", job.delay_ms)
        else:
            self._line_up(job, "release_parent", front=job.priority == 0)

    def recover(self, steady_ms: int, max_stalled: int) -> list[ModelJob]:
        """Put jobs whose lease has ended at the front, the longest running first."""
        lapsed = [job for job in self.jobs.values() if job.state is State.ACTIVE]
        lapsed = [job for job in lapsed if job.lease_ends_ms <= steady_ms]
        lapsed.sort(key=lambda job: (job.started_ms, job.label), reverse=True)
        for job in lapsed:
            job.stalled += 1
            job.history.append("stalled")
            if job.cancelled is not None:
                job.deferred = job.cancelled
            elif job.stalled > max_stalled:
                job.deferred = "job stalled more than allowable limit"
            self._line_up(job, "recover", front=True)
        return lapsed

    def promote(self, job: ModelJob) -> None:
        """Make a delayed job ready."""
        self._line_up(job, "promote")

    def change_delay(self, job: ModelJob, due: Now) -> None:
        """Make a delayed job due at another moment."""
        self.moves += 1
        job.due, job.delayed_as = due, self.moves

    def change_priority(self, job: ModelJob, priority: int, *, lifo: bool) -> None:
        """Give a job another priority, and in line another place."""
        if job.state in READY:
            self.queues[job.queue].line.remove(job)
            job.priority = priority
            before = job.state
            job.state = self._ready(job)
            if before is not job.state:
                assert may(before, job.state)
            self._insert(job, front=lifo)
        else:
            job.priority = priority

    def cancel(self, job: ModelJob, reason: str, now: Now) -> None:
        """Stop a job for good."""
        if job.state is State.ACTIVE:
            job.cancelled = job.deferred = reason
        else:
            job.deferred = job.cancelled = None
            self._finish(job, State.FAILED, "cancel", now)

    def retry(self, job: ModelJob, *, reset: bool) -> None:
        """Run a finished job again."""
        self._start_anew(job, reset=reset)
        self._line_up(job, "retry_finished")

    @staticmethod
    def _start_anew(job: ModelJob, *, reset: bool) -> None:
        """Forget how a job has ended."""
        if reset:
            job.attempts_made = job.attempts_started = 0
        job.stalled, job.deferred, job.cancelled = 0, None, None

    def remove(self, job: ModelJob) -> None:
        """Forget a job."""
        self._move(job, None, "remove")

    def obliterate(self, queue: str) -> None:
        """Forget a queue. None of its jobs is active."""
        for job in self.jobs.values():
            if job.queue == queue:
                job.obliterated = True
                if job.state is not None:
                    self._move(job, None, "remove")
        self.queues[queue] = ModelQueue()

    def _line_up(self, job: ModelJob, verb: str, *, front: bool = False) -> None:
        self._move(job, self._ready(job), verb)
        job.delay_ms = 0
        self._insert(job, front=front)

    def _insert(self, job: ModelJob, *, front: bool) -> None:
        line = self.queues[job.queue].line
        before = [
            other.priority < job.priority or (not front and other.priority == job.priority)
            for other in line
        ]
        line.insert(sum(before), job)

    def _delay(self, job: ModelJob, due: Now, verb: str, delay_ms: int) -> None:
        self._move(job, State.DELAYED, verb)
        job.delay_ms = delay_ms
        self.queues[job.queue].delayed.append(job)
        self.change_delay(job, due)

    def _finish(self, job: ModelJob, state: State, verb: str, now: Now) -> None:
        self._let_go(job, now)
        self._move(job, state, verb)
        job.finished_ms = now.ms
        queue = self.queues[job.queue]
        queue.finished[state].append(job)
        queue.totals[state] += 1

    def _move(self, job: ModelJob, after: State | None, verb: str) -> None:
        """Take a job out of where it is; `after` is where it will be."""
        before = job.state
        assert may(before, after), f"{verb}: {before} to {after}"
        queue = self.queues[job.queue]
        if before in READY:
            queue.line.remove(job)
        elif before is State.DELAYED:
            queue.delayed.remove(job)
        elif before is State.ACTIVE:
            queue.active.remove(job)
            job.claim = None
        elif before is State.WAITING_CHILDREN:
            queue.parked.remove(job)
        elif before in FINISHED:
            queue.finished[before].remove(job)
        if after is State.ACTIVE:
            queue.active.append(job)
        elif after is State.WAITING_CHILDREN:
            queue.parked.append(job)
        if verb == "remove":
            for deduplication_id, hold in list(queue.holds.items()):
                if hold.label == job.label:
                    del queue.holds[deduplication_id]
        job.state = after

    @staticmethod
    def _ready(job: ModelJob) -> State:
        return State.PRIORITIZED if job.priority else State.WAIT
