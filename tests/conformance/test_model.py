"""Every backend against a plain model, by random walks: the best guard that they stay the same."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from tests.conformance.model import LEASE_MS, Model, ModelJob, Now
from tests.support.contract import HandWorker, outcome, records
from tests.support.redis_clock import RedisClock
from tests.support.redis_servers import RedisServer

from toril.backends import open_backend
from toril.core.errors import JobNotFoundError, TorilError, WrongStateError
from toril.engine.contract import Backend
from toril.engine.deduplication import DeduplicationRule
from toril.engine.job import MAX_HISTORY, Claimed, Finished, JobRecord, NewJob, OutcomeKind
from toril.engine.states import FINISHED, LOOSE, State
from toril.testing.clock import ManualClock

QUEUES = ("a", "b")
IDS = ("d", "d", "e")
"""De-duplication ids. Two, as each new job clears away others whose time is over."""
FULL = os.environ.get("TORIL_FAULTS") == "full"
PHASES = tuple(Phase) if FULL else (Phase.explicit, Phase.generate)
"""A failure prints its steps as they were found. Making them fewer takes up to five minutes, which
ended in a time-out that printed none: `TORIL_FAULTS=full` with the `reproduce_failure` that the
failure prints does it."""

queues = st.sampled_from(["a", "a", "a", "b"])
picks = st.integers(0, 10_000)
limits = st.integers(1, 4)
priorities = st.sampled_from([0, 0, 1, 5])
rules = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.builds(
        DeduplicationRule,
        id=st.sampled_from(IDS),
        ttl_ms=st.sampled_from([None, None, 1_500, 50_000]),
        extend=st.booleans(),
        replace=st.booleans(),
        reschedule=st.booleans(),
        keep_last_if_active=st.sampled_from([False, False, True]),
    ),
)
new_jobs = st.fixed_dictionaries(
    {
        "own_id": st.sampled_from([None, None, None, "x", "007"]),
        "priority": priorities,
        "delay_ms": st.sampled_from([0, 0, 0, 1, 1_000, 40_000]),
        "lifo": st.booleans(),
        "rule": rules,
    }
)


class End(NamedTuple):
    """How an attempt shall end, and which."""

    number: int
    late: bool
    kind: OutcomeKind
    wait_ms: int

    def outcome(self, claimed: Claimed, keep: int | None) -> Finished:
        if self.kind in ("retried", "snoozed"):
            return outcome(claimed, self.kind, wait_ms=self.wait_ms)
        if self.kind == "released":
            return outcome(claimed, self.kind)
        return outcome(claimed, self.kind, keep_count=keep)


ends = st.builds(
    End,
    number=picks,
    late=st.sampled_from([False, False, False, True]),
    kind=st.sampled_from(get_args(OutcomeKind)),
    wait_ms=st.sampled_from([0, 1_000]),
)
keeps = st.sampled_from([None, None, None, 2, 0])


@dataclass
class Driven:
    """One backend, and what it calls the jobs of the model."""

    backend: Backend
    ids: dict[int, str] = field(default_factory=dict)
    claims: list[Claimed] = field(default_factory=list)

    @property
    def worker(self) -> HandWorker:
        return HandWorker(self.backend, lease_ms=LEASE_MS)

    def labels(self, queue: str, found: list[str], model: Model) -> list[int]:
        """Return ids as labels: the newest job that was given the id."""
        known = {self.ids[label]: label for label, job in model.jobs.items() if job.queue == queue}
        return [known[job_id] for job_id in found]


class Stores(RuleBasedStateMachine):
    """Drives the backends on a file and in memory, and the model, through the same steps."""

    calendar_jumps = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.clock = self.make_clock()
        self.asides = 0
        self.model = self.make_model()
        self.runner = asyncio.Runner()
        self.driven = [
            Driven(open_backend(url, durability="normal", clock=self.clock)) for url in self.urls()
        ]

    def make_clock(self) -> ManualClock:
        """Return the time that all go by."""
        return ManualClock()

    def make_model(self) -> Model:
        """Return what the backends are compared with."""
        return Model(QUEUES)

    @property
    def now(self) -> Now:
        """Return what time it is."""
        return Now(self.clock.now_ms(), self.clock.steady_ms())

    def tick(self) -> None:
        """Let a moment pass before a job starts or ends, where stores differ about ties."""

    def plain(self, text: str | None) -> str | None:
        """Return a reason as every backend has it."""
        return text

    def urls(self) -> list[str]:
        """Return where the backends are."""
        return [f"sqlite:///{self.folder}/toril.db", "sqlite://:memory:"]

    def teardown(self) -> None:
        for driven in self.driven:
            self.runner.run(driven.backend.lifecycle.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def each(self, act: Callable[[Driven], Coroutine[Any, Any, Any]]) -> list[Any]:
        """Do the same on every backend; return what each answered or refused."""

        async def answer(driven: Driven) -> Any:
            try:
                return await act(driven)
            except TorilError as error:
                return type(error)

        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*(answer(driven) for driven in self.driven))

        return self.runner.run(all_of_them())

    def all_say(self, expected: object, act: Callable[[Driven], Coroutine[Any, Any, Any]]) -> None:
        assert self.each(act) == [expected] * len(self.driven)

    def pick(self, number: int) -> ModelJob | None:
        """Return a job that was added once, perhaps gone; None when there was none."""
        if not self.model.jobs:
            return None
        # The newest ones more often: they are the ones that still move.
        labels = list(self.model.jobs)[-25:]
        return self.model.jobs[labels[number % len(labels)]]

    def is_current(self, job: ModelJob) -> bool:
        """Whether the id of the job still means that job.

        An obliterated queue may begin to count its jobs anew: their ids then mean others.
        """
        if job.state is not None:
            return True
        if job.own_id is None:
            return not job.obliterated
        return self.model.find(job.queue, job.own_id) is None

    def on_job(
        self,
        number: int,
        allowed: set[State],
        act: Callable[[Backend, str, str], Coroutine[Any, Any, Any]],
        expected: Callable[[ModelJob], object] = lambda job: None,
    ) -> ModelJob | None:
        """Do a verb on a job; return it if the model says that the verb is allowed."""
        job = self.pick(number)
        if job is None or not self.is_current(job):
            return None
        answer = expected(job)
        if job.state is None:
            answer = JobNotFoundError
        elif job.state not in allowed:
            answer = WrongStateError
        label = job.label
        self.all_say(answer, lambda one: act(one.backend, job.queue, one.ids[label]))
        return job if job.state in allowed else None

    @initialize(queue=queues, specs=st.lists(new_jobs, min_size=3, max_size=6))
    def begin(self, queue: str, specs: list[dict[str, Any]]) -> None:
        self.add(queue, specs)

    @rule(queue=queues, specs=st.lists(new_jobs, min_size=1, max_size=4))
    def add(self, queue: str, specs: list[dict[str, Any]]) -> None:
        now = self.now
        expected = []
        for spec in specs:
            if spec["rule"] is not None and spec["rule"].keep_last_if_active:
                self.asides += 1  # so that we know the id of the one that is put aside
                spec["own_id"] = f"last {self.asides}"
            expected.append(self.model.add(queue, now=now, **spec))
        jobs = [
            NewJob(
                queue=queue,
                name="n",
                data="{}",
                opts=msgspec.json.encode(_stored(spec)).decode(),
                job_id=spec["own_id"],
                priority=spec["priority"],
                delay_ms=spec["delay_ms"],
                lifo=spec["lifo"],
                deduplication=spec["rule"],
            )
            for spec in specs
        ]
        for driven, answers in zip(
            self.driven, self.each(lambda one: one.backend.jobs.add(jobs)), strict=True
        ):
            for (added, holder), answer in zip(expected, answers, strict=True):
                assert answer.duplicate == (added is None)
                if added is not None:
                    driven.ids[added.label] = answer.job_id
                elif holder is not None:
                    assert answer.job_id == driven.ids[holder.label]

    @rule(queue=queues, limit=limits, ends=st.lists(ends, max_size=3), keep=keeps)
    def work(self, queue: str, limit: int, ends: list[End], keep: int | None) -> None:
        """Claim, then end some of the attempts that run, or did once."""
        self.claim(queue, limit)
        held = [job.claim for job in self.model.jobs.values() if job.claim is not None]
        everything = list(range(len(self.model.claims)))
        chosen: list[tuple[int, End]] = []
        for end in ends:
            among = everything if end.late else held
            if among:
                chosen.append((among[end.number % len(among)], end))
        for together in self.batches(chosen):
            self.finish(together, keep)

    def batches(self, chosen: list[tuple[int, End]]) -> list[list[tuple[int, End]]]:
        """Return the outcomes that travel together."""
        return [chosen]

    def finish(self, chosen: list[tuple[int, End]], keep: int | None) -> None:
        self.tick()
        words = [
            "ok"
            if self.model.finish(claim, end.kind, wait_ms=end.wait_ms, keep=keep, now=self.now)
            else "lease_lost"
            for claim, end in chosen
        ]

        async def finish(one: Driven) -> list[str]:
            outcomes = [end.outcome(one.claims[claim], keep) for claim, end in chosen]
            return list((await one.worker.ask(outcomes=outcomes)).words)

        self.all_say(words, finish)

    def claim(self, queue: str, limit: int) -> None:
        now = self.now
        taken = self.model.claim(queue, limit, now=now)
        for driven, reply in zip(
            self.driven,
            self.each(lambda one: one.worker.ask(queue, limit=limit, room=max(limit, 1))),
            strict=True,
        ):
            driven.claims += reply.claimed
            assert [
                (one.id, one.attempts_started, one.attempts_made, self.plain(one.deferred_failure))
                for one in reply.claimed
            ] == [
                (
                    driven.ids[job.label],
                    job.attempts_started,
                    job.attempts_made,
                    job.deferred,
                )
                for job in taken
            ]
            assert reply.next_due_ms == self.model.next_due_ms(queue, now)

    @rule(
        seconds=st.sampled_from([0.001, 1, 20, 31, 31]),
        jump=st.sampled_from([0, 0, -3_600, 3_600]),
        max_stalled=st.sampled_from([0, 1, 2]),
    )
    def time_passes_and_somebody_sweeps(
        self, seconds: float, jump: float, max_stalled: int
    ) -> None:
        self.clock.advance(seconds)
        if self.calendar_jumps:
            self.clock.jump_calendar(jump)
        lapsed = self.model.recover(self.clock.steady_ms(), max_stalled)

        async def sweep(one: Driven) -> list[tuple[str, str]]:
            found = await one.backend.dispatch.recover(
                max_stalled=max_stalled, heartbeat_s=60, limit=1_000
            )
            return sorted(found.recovered)

        for driven, found in zip(self.driven, self.each(sweep), strict=True):
            assert found == sorted((job.queue, driven.ids[job.label]) for job in lapsed)

    def pause_or_resume(self, queue: str, pause: bool) -> None:
        self.model.queues[queue].known = True
        self.model.queues[queue].paused = pause
        self.each(
            lambda one: (
                one.backend.limits.pause(queue) if pause else one.backend.limits.resume(queue)
            )
        )

    @rule(
        verb=st.sampled_from(
            ["promote", "change_delay", "change_priority", "cancel", "retry", "remove"]
        ),
        number=picks,
        delay_ms=st.sampled_from([0, 500, 60_000]),
        priority=priorities,
        flag=st.booleans(),
    )
    def operate(self, verb: str, number: int, delay_ms: int, priority: int, flag: bool) -> None:
        match verb:
            case "promote":
                self.promote(number)
            case "change_delay":
                self.change_delay(number, delay_ms)
            case "change_priority":
                self.change_priority(number, priority, flag)
            case "cancel":
                self.cancel(number)
            case "retry":
                self.retry(number, flag)
            case "remove":
                self.remove(number)

    @rule(
        verb=st.sampled_from(
            [
                "resume",
                "resume",
                "pause",
                "retry_many",
                "promote_many",
                "drain",
                "clean",
                "obliterate",
                "release",
            ]
        ),
        queue=queues,
        limit=limits,
        state=st.sampled_from(FINISHED),
        age_ms=st.sampled_from([0, 500]),
        flag=st.booleans(),
    )
    def operate_on_many(
        self, verb: str, queue: str, limit: int, state: State, age_ms: int, flag: bool
    ) -> None:
        match verb:
            case "pause" | "resume":
                self.pause_or_resume(queue, verb == "pause")
            case "retry_many":
                self.retry_many(queue, limit, state, flag)
            case "promote_many":
                self.promote_many(queue, limit)
            case "drain":
                self.drain(queue, limit, flag)
            case "clean":
                self.clean(queue, limit, state, age_ms)
            case "obliterate":
                self.obliterate(queue)
            case "release":
                self.all_say(
                    self.model.release(queue, "d", self.now),
                    lambda one: one.backend.deduplication.release(queue, "d"),
                )

    def promote(self, number: int) -> None:
        job = self.on_job(
            number,
            {State.DELAYED},
            lambda backend, queue, job_id: backend.jobs.promote(queue, job_id),
        )
        if job is not None:
            self.model.promote(job)

    def change_delay(self, number: int, delay_ms: int) -> None:
        job = self.on_job(
            number,
            {State.DELAYED},
            lambda backend, queue, job_id: backend.jobs.change_delay(
                queue, job_id, delay_ms=delay_ms
            ),
        )
        if job is not None:
            self.model.change_delay(job, self.now.after(delay_ms))

    def change_priority(self, number: int, priority: int, lifo: bool) -> None:
        job = self.on_job(
            number,
            set(State),
            lambda backend, queue, job_id: backend.jobs.change_priority(
                queue, job_id, priority=priority, lifo=lifo
            ),
        )
        if job is not None:
            self.model.change_priority(job, priority, lifo=lifo)

    def cancel(self, number: int) -> None:
        self.tick()
        job = self.on_job(
            number,
            set(State) - set(FINISHED),
            lambda backend, queue, job_id: backend.jobs.cancel(queue, job_id, reason="no"),
            lambda job: job.state,
        )
        if job is not None:
            self.model.cancel(job, "no", self.now)

    def retry(self, number: int, reset: bool) -> None:
        job = self.on_job(
            number,
            set(FINISHED),
            lambda backend, queue, job_id: backend.jobs.retry(queue, job_id, reset_attempts=reset),
        )
        if job is not None:
            self.model.retry(job, reset=reset)

    def remove(self, number: int) -> None:
        job = self.pick(number)
        if job is None or not self.is_current(job):
            return
        label, before = job.label, job.state
        self.all_say(
            before if before in (None, *LOOSE) else WrongStateError,
            lambda one: one.backend.jobs.remove(job.queue, one.ids[label]),
        )
        if before in LOOSE:
            self.model.remove(job)

    def retry_many(self, queue: str, limit: int, state: State, reset: bool) -> None:
        now_ms = self.clock.now_ms()
        found = [
            label
            for label in self.model.queues[queue].labels(state)
            if self.model.jobs[label].finished_ms <= now_ms
        ][:limit]
        self.all_say(
            len(found),
            lambda one: one.backend.bulk.retry(
                queue, state, limit=limit, finished_until_ms=now_ms, reset_attempts=reset
            ),
        )
        for label in found:
            self.model.retry(self.model.jobs[label], reset=reset)

    def promote_many(self, queue: str, limit: int) -> None:
        found = self.model.queues[queue].labels(State.DELAYED)[:limit]
        self.all_say(len(found), lambda one: one.backend.bulk.promote(queue, limit=limit))
        for label in found:
            self.model.promote(self.model.jobs[label])

    def drain(self, queue: str, limit: int, delayed: bool) -> None:
        mine = self.model.queues[queue]
        found = [job.label for job in mine.line]
        found += mine.labels(State.DELAYED) if delayed else []
        self.all_say(
            len(found[:limit]),
            lambda one: one.backend.bulk.drain(queue, delayed=delayed, limit=limit),
        )
        for label in found[:limit]:
            self.model.remove(self.model.jobs[label])

    def clean(self, queue: str, limit: int, state: State, age_ms: int) -> None:
        until_ms = self.clock.now_ms() - age_ms
        found = [
            label
            for label in self.model.queues[queue].labels(state)
            if self.model.jobs[label].finished_ms <= until_ms
        ][:limit]

        async def clean(one: Driven) -> list[int]:
            gone = await one.backend.bulk.clean(queue, state, older_than_ms=age_ms, limit=limit)
            return one.labels(queue, gone, self.model)

        self.all_say(found, clean)
        for label in found:
            self.model.remove(self.model.jobs[label])

    def obliterate(self, queue: str) -> None:
        mine = self.model.queues[queue]
        if not mine.known:
            self.all_say(0, lambda one: one.backend.bulk.obliterate(queue, force=False, limit=2))
            return
        if not mine.paused or mine.active:
            self.all_say(
                WrongStateError,
                lambda one: one.backend.bulk.obliterate(queue, force=False, limit=2),
            )
            return

        async def all_of_it(one: Driven) -> int:
            removed = 0
            while gone := await one.backend.bulk.obliterate(queue, force=False, limit=2):
                removed += gone
            return removed

        many = sum(job.queue == queue and job.state is not None for job in self.model.jobs.values())
        self.all_say(many, all_of_it)
        self.model.obliterate(queue)

    @invariant()
    def stores_are_as_the_model(self) -> None:
        self.runner.run(self._compare())

    async def _compare(self) -> None:
        for job in self.model.jobs.values():
            for driven in self.driven:  # one that was put aside: nobody was told when it was added
                if job.own_id is not None:
                    driven.ids.setdefault(job.label, job.own_id)
        await asyncio.gather(*(self._compare_one(driven) for driven in self.driven))

    async def _compare_one(self, driven: Driven) -> None:
        found = {queue.name: queue for queue in await driven.backend.counts.queues()}
        assert sorted(found) == [name for name in QUEUES if self.model.queues[name].known]
        for name, queue in found.items():
            mine = self.model.queues[name]
            for deduplication_id in sorted(set(IDS)):
                hold = self.model.hold(name, deduplication_id, self.now)
                held_by = None if hold is None else driven.ids[hold.label]
                assert await driven.backend.deduplication.holder(name, deduplication_id) == held_by
            expected = {state: mine.labels(state) for state in State}
            assert queue.counts == {state: len(labels) for state, labels in expected.items()}
            assert (queue.paused, queue.completed_total, queue.failed_total) == (
                mine.paused,
                mine.totals[State.COMPLETED],
                mine.totals[State.FAILED],
            )
            for state, labels in expected.items():
                if labels:
                    jobs = await records(driven.backend, state, name, page_size=7)
                    ids = [job.id for job in jobs]
                    found_labels = driven.labels(name, ids, self.model)
                    if state is State.ACTIVE and driven.backend.url.startswith("redis"):
                        # In the order of their claims there, not of the ends of their leases.
                        assert sorted(found_labels) == sorted(labels)
                    elif state is State.WAITING_CHILDREN:  # without an order that is promised
                        assert sorted(found_labels) == labels
                    else:
                        assert found_labels == labels, state
                    for label, job in zip(found_labels, jobs, strict=True):
                        self._compare_job(self.model.jobs[label], job)

    def _compare_job(self, job: ModelJob, found: JobRecord) -> None:
        assert (found.attempts_made, found.attempts_started, found.stalled) == (
            job.attempts_made,
            job.attempts_started,
            job.stalled,
        )
        assert (self.plain(found.deferred_failure), found.cancel_reason, found.priority) == (
            job.deferred,
            job.cancelled,
            job.priority,
        )
        assert [attempt.outcome for attempt in found.attempts] == job.history[-MAX_HISTORY:]
        run_at_ms = self.now.ms + self.now.until(job.due)
        assert found.run_at_ms == (run_at_ms if job.state is State.DELAYED else None)


def _stored(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the stored options: by them a job is added that was put aside."""
    rule = spec["rule"]
    wire = {"priority": spec["priority"], "delay": spec["delay_ms"], "lifo": spec["lifo"]}
    return wire if rule is None else {**wire, "de": {"id": rule.id}}


class StoresWithRedis(Stores):
    """The same with Redis beside them, which measures leases by its calendar."""

    calendar_jumps = False
    server: RedisServer

    def tick(self) -> None:
        # A file tells jobs that start or finish in one millisecond apart by number, Redis by their
        # order. Claims of none promote what has become due, which a retry on Redis does too.
        self.clock.advance(0.001)
        for queue in QUEUES:
            super().claim(queue, 0)

    def claim(self, queue: str, limit: int) -> None:
        for _ in range(limit):
            self.tick()
            super().claim(queue, 1)

    def batches(self, chosen: list[tuple[int, End]]) -> list[list[tuple[int, End]]]:
        return [[one] for one in chosen]

    def make_clock(self) -> ManualClock:
        self.prefix = f"m{secrets.token_hex(6)}"
        return RedisClock([self.server], [self.prefix])

    def plain(self, text: str | None) -> str | None:
        return text and text.replace(f"child {self.prefix}:", "child bull:")  # a key of a job

    def urls(self) -> list[str]:
        return [*super().urls(), f"{self.server.url}?prefix={self.prefix}"]

    def teardown(self) -> None:
        super().teardown()
        self.server.remove_keys(self.prefix)


class StoresWithValkey(StoresWithRedis):
    """The same with Valkey."""


@pytest.fixture(scope="module")
def lent_redis(common_redis: RedisServer) -> None:
    """Lend the machine the server that tests share."""
    StoresWithRedis.server = common_redis


@pytest.fixture(scope="module")
def lent_valkey(common_valkey: RedisServer) -> None:
    """The same for Valkey's."""
    StoresWithValkey.server = common_valkey


TestStores = pytest.mark.timeout(3_600 if FULL else 300)(Stores.TestCase)
TestStoresWithRedis = pytest.mark.usefixtures("lent_redis")(
    pytest.mark.timeout(3_600 if FULL else 300)(StoresWithRedis.TestCase)
)
TestStoresWithValkey = pytest.mark.usefixtures("lent_valkey")(
    pytest.mark.timeout(3_600 if FULL else 300)(StoresWithValkey.TestCase)
)
TestStores.settings = TestStoresWithRedis.settings = TestStoresWithValkey.settings = settings(
    max_examples=600 if FULL else 30,
    stateful_step_count=100 if FULL else 40,
    deadline=None,
    database=None,
    phases=PHASES,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
