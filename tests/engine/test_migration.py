"""Queues on their way from one store to another."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.support.contract import HandWorker, card, check_counts, job, line, outcome, told
from tests.support.flows import KIDS, PARENTS, Tree, children, fail, fates, finish, plant
from tests.support.redis_servers import RedisServer

from toril import App, JobOptions, RateLimit, Settings
from toril.backends import open_backend
from toril.core.errors import InvalidOptionError, MigrationError, WrongStateError
from toril.engine.contract import Backend, DeadLetterRule, JobFilter, Level
from toril.engine.contract.jobs import JobPage
from toril.engine.deduplication import DeduplicationRule, HeldId
from toril.engine.flow import ParentRef
from toril.engine.history import by_task
from toril.engine.job import WholeJob
from toril.engine.migration import MOVABLE, QueueMove, move, plan
from toril.engine.operator import CHUNK
from toril.engine.schedules.record import Beside, Declared, ScheduleRecord
from toril.engine.schedules.saving import change, pausing, save
from toril.engine.schedules.slots import Timing
from toril.engine.states import State

Q = "paint"

ROUTES = ("sqlite to sqlite", "sqlite to redis", "redis to sqlite", "redis to redis")


class Stores(NamedTuple):
    """The two ends of a move."""

    source: Backend
    target: Backend


@pytest.fixture(params=ROUTES)
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path, no_thread_left: None
) -> AsyncIterator[Stores]:
    """Two empty stores."""
    opened: list[Backend] = []
    servers: list[tuple[RedisServer, str]] = []
    for number, kind in enumerate(request.param.split(" to ")):
        url = f"sqlite:///{tmp_path}/{number}.db"
        if kind == "redis":
            server = request.getfixturevalue("redis_server")
            servers.append((server, prefix := f"t{secrets.token_hex(6)}"))
            url = f"{server.url}?prefix={prefix}"
        opened.append(open_backend(url, durability="normal"))
    yield Stores(*opened)
    for backend in opened:
        await check_counts(backend)
        await backend.lifecycle.close()
    for server, prefix in servers:
        server.remove_keys(prefix)


async def fill(backend: Backend, queue: str = Q) -> None:
    """Bring jobs into every state that can be moved, with all that jobs may have."""
    worker = HandWorker(backend)
    await backend.jobs.add([job(queue, data=f'{{"n":{number}}}') for number in range(8)])
    claimed = await worker.claim(queue, limit=8)
    for one in claimed:
        await backend.logs.add(queue, one.id, f"line of {one.id}", keep=10)
    await worker.ask(
        outcomes=[
            outcome(claimed[0], "completed", value='{"ok":true}'),
            outcome(claimed[1], "failed", reason="boom", traceback="Traceback", exhausted=True),
            outcome(claimed[2], "retried", reason="boom", traceback="Traceback", wait_ms=3_600_000),
            outcome(claimed[3], "retried", reason="boom", wait_ms=0),
            outcome(claimed[4], "snoozed", wait_ms=7_200_000),
            outcome(claimed[5], "released"),
            outcome(claimed[6], "completed", value="1"),
            outcome(claimed[7], "failed", reason="boom"),
        ]
    )
    await backend.jobs.add([job(queue) for _ in range(3)])
    await backend.jobs.add([job(queue, lifo=True), job(queue, job_id="own")])
    await backend.jobs.add([job(queue, priority=number % 3 + 1) for number in range(5)])
    await backend.jobs.add([job(queue, delay_ms=3_600_000 + number) for number in (3, 1, 2)])


async def contents(backend: Backend, queue: str = Q) -> dict[State, list[WholeJob]]:
    """Return all jobs of a queue, in order; those that ended together by id."""
    found: dict[State, list[WholeJob]] = {}
    for where in State:
        ids = await line(backend, where, queue)
        logs = await backend.moving.logs(queue, ids)
        jobs: list[WholeJob] = []
        for job_id, log in zip(ids, logs, strict=True):
            record = await backend.jobs.get(queue, job_id)
            assert record is not None
            jobs.append(WholeJob(record, log))
        if where in (State.COMPLETED, State.FAILED):
            jobs.sort(key=lambda one: (one.record.finished_on_ms or 0, one.record.id))
        found[where] = jobs
    return found


def many(found: dict[State, list[WholeJob]]) -> dict[State, int]:
    return {where: len(jobs) for where, jobs in found.items()}


async def paused(backend: Backend, queue: str = Q) -> bool:
    found = await backend.counts.queue(queue)
    assert found is not None
    return found.paused


async def is_empty(backend: Backend, queue: str = Q) -> bool:
    found = await backend.counts.queue(queue)
    assert found is not None
    return not any(found.counts.values())


async def move_all(stores: Stores, **how: Any) -> list[QueueMove]:
    return await move(stores.source, stores.target, None, **how)


async def test_everything_goes_over_as_it_was(stores: Stores) -> None:
    for queue in (Q, "other"):
        await fill(stores.source, queue)
    before = {queue: await contents(stores.source, queue) for queue in (Q, "other")}
    steps: list[int] = []

    moves = await move_all(stores, progress=steps.append)

    for queue in (Q, "other"):
        assert await contents(stores.target, queue) == before[queue]
        assert await is_empty(stores.source, queue)
        assert (await paused(stores.source, queue), await paused(stores.target, queue)) == (
            True, False,
        )  # fmt: skip
    assert {each.queue: each.moved for each in moves} == {
        queue: many(before[queue]) for queue in ("other", Q)
    }
    assert [(each.tied, each.taken, each.paused) for each in moves] == [(0, 0, False)] * 2
    assert steps == sorted(steps)
    assert steps[-1] == sum(sum(each.moved.values()) for each in moves)


async def test_only_the_queues_that_were_named_go(stores: Stores) -> None:
    for queue in ("a", "b", "c"):
        await stores.source.jobs.add([job(queue)])

    moves = await move(stores.source, stores.target, ["c", "a", "c"])

    assert [each.queue for each in moves] == ["c", "a"]
    assert [queue.name for queue in await stores.target.counts.queues()] == ["a", "c"]
    assert not await paused(stores.source, "b")


async def test_new_jobs_of_the_target_have_ids_of_their_own(stores: Stores) -> None:
    await fill(stores.source)
    ids = {each.record.id for jobs in (await contents(stores.source)).values() for each in jobs}
    await move_all(stores)

    added = {each.job_id for each in await stores.target.jobs.add([job(Q) for _ in range(50)])}

    assert len(added) == 50
    assert not added & ids


async def test_settings_and_totals_go_over(stores: Stores) -> None:
    await fill(stores.source)
    await stores.source.bulk.clean(Q, State.COMPLETED, older_than_ms=0, limit=1)
    await stores.source.limits.set_concurrency(Q, 7)
    await stores.source.limits.set_rate(Q, 100, 60_000)
    await stores.source.events.choose(Q, "outcomes")
    await stores.source.dead_letters.set_rule(Q, DeadLetterRule("graveyard", 5000))
    before = await stores.source.counts.queue(Q)
    assert before is not None

    await move_all(stores)

    after = await stores.target.counts.queue(Q)
    assert after is not None
    assert (after.concurrency, after.rate_limit, after.rate_window_ms) == (7, 100, 60_000)
    assert (after.completed_total, after.failed_total) == (2, 2)
    assert (after.events, after.paused) == ("outcomes", False)
    assert await stores.target.dead_letters.rule(Q) == DeadLetterRule("graveyard", 5000)


async def test_history_goes_over_once(stores: Stores) -> None:
    await fill(stores.source)
    await stores.source.history.roll_up(limit=100)

    for _ in range(2):
        await move_all(stores)

    for level in Level:
        found = await stores.target.history.read(Q, level, since_ms=0, until_ms=2**50)
        counted = by_task(found)["cars"]
        assert (counted.completed, counted.failed, counted.retried) == (2, 2, 2), level
        assert sum(counted.waits.values()) == 6


async def test_history_that_is_off_stays_off(stores: Stores) -> None:
    await stores.source.history.keep(Q, False)
    await fill(stores.source)

    await move_all(stores)

    after = await stores.target.counts.queue(Q)
    assert after is not None
    assert not after.history


async def test_empty_queue_goes_over_with_its_settings(stores: Stores) -> None:
    await stores.source.limits.set_concurrency(Q, 7)

    await move_all(stores)

    after = await stores.target.counts.queue(Q)
    assert after is not None
    assert (after.concurrency, after.paused) == (7, False)


async def test_what_was_paused_before_is_paused_after(stores: Stores) -> None:
    await stores.source.jobs.add([job("a"), job("b"), job("c")])
    await stores.source.limits.pause("a")
    await stores.target.limits.pause("b")

    moves = await move_all(stores)

    assert [(each.queue, each.paused) for each in moves] == [
        ("a", True), ("b", True), ("c", False),
    ]  # fmt: skip
    assert [await paused(stores.target, queue) for queue in "abc"] == [True, True, False]
    assert [await paused(stores.source, queue) for queue in "abc"] == [True, True, True]


async def test_second_run_disturbs_nothing(stores: Stores) -> None:
    await fill(stores.source)
    await move_all(stores)
    await stores.target.limits.set_concurrency(Q, 3)
    before = await contents(stores.target), await told(stores.target, Q)

    (again,) = await move_all(stores)

    assert sum(again.moved.values()) == 0
    assert (await contents(stores.target), await told(stores.target, Q)) == before


async def test_pause_by_somebody_after_the_move_is_left_alone(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q)])
    await move_all(stores)
    await stores.target.limits.pause(Q)
    await stores.source.jobs.add([job(Q)])

    (again,) = await move_all(stores)

    assert (again.moved[State.WAIT], again.paused) == (1, True)


async def test_second_run_takes_what_came_in_meanwhile(stores: Stores) -> None:
    await stores.source.limits.set_concurrency(Q, 7)
    await stores.source.jobs.add([job(Q), job(Q)])
    await move_all(stores)
    await stores.target.limits.set_concurrency(Q, 3)
    await stores.source.jobs.add([job(Q, job_id="late")])

    (again,) = await move_all(stores)

    assert again.moved[State.WAIT] == 1
    assert (await line(stores.target, State.WAIT, Q))[-1] == "late"
    after = await stores.target.counts.queue(Q)
    assert after is not None
    assert (after.paused, after.concurrency) == (False, 3)


async def test_more_jobs_than_a_chunk_keep_their_order(stores: Stores) -> None:
    total = CHUNK * 2 + 77
    await stores.source.jobs.add([job(Q) for _ in range(total)])
    await stores.source.jobs.add([job(Q, priority=1 + number % 2) for number in range(total)])
    before = {where: await line(stores.source, where, Q) for where in State}

    await move_all(stores)

    assert {where: await line(stores.target, where, Q) for where in State} == before


async def test_large_jobs_travel_in_small_company(stores: Stores) -> None:
    sizes: list[int] = []
    target = watched(stores.target, "moving", "adopt", lambda _, jobs: sizes.append(len(jobs)))
    text = '"' + "x" * 199_998 + '"'
    await stores.source.jobs.add([job(Q, data=text) for _ in range(90)])
    await stores.source.jobs.add([job("small") for _ in range(700)])

    await move(stores.source, target, None)

    assert sizes == [50, 20, 20, 50, 500, 150]


def watched(backend: Backend, role: str, verb: str, watch: Callable[..., object]) -> Backend:
    """Return the same backend with a role in which a verb is seen before it is done."""
    inner = getattr(backend, role)

    class Watched:
        def __getattr__(self, name: str) -> Any:
            act = getattr(inner, name)
            if name != verb:
                return act

            async def seen(*arguments: Any, **named: Any) -> Any:
                watch(*arguments, **named)
                return await act(*arguments, **named)

            return seen

    changed: dict[str, Any] = {role: Watched()}
    return dataclasses.replace(backend, **changed)


class KilledError(Exception):
    """The process ends here."""


class Killer:
    """Ends a run right after a call of a store, whichever it is."""

    def __init__(self, calls: int) -> None:
        self._left = calls

    def stores(self, stores: Stores) -> Stores:
        """Return both stores under this killer's eyes."""
        return Stores(*(self._store(backend) for backend in stores))

    def _store(self, backend: Backend) -> Backend:
        roles = ("jobs", "moving", "counts", "limits", "events", "workers", "dispatch")
        changed: dict[str, Any] = {role: _Role(getattr(backend, role), self) for role in roles}
        return dataclasses.replace(backend, **changed)

    def done(self) -> None:
        """Count a call that was done."""
        self._left -= 1
        if self._left == 0:
            raise KilledError


class _Role:
    def __init__(self, inner: Any, killer: Killer) -> None:
        self._inner, self._killer = inner, killer

    def __getattr__(self, name: str) -> Any:
        async def act(*arguments: Any, **named: Any) -> Any:
            result = await getattr(self._inner, name)(*arguments, **named)
            self._killer.done()
            return result

        return act


async def test_run_that_ends_after_any_call_is_ended_by_the_next(stores: Stores) -> None:
    """Nothing is lost, doubled or out of line, and the queue goes on, whatever the moment."""
    moments = 0
    for moment in range(1, 1_000):
        queue = f"paint-{moment}"
        await fill(stores.source, queue)
        before = await contents(stores.source, queue)
        dying = Killer(moment).stores(stores)
        try:
            await move(dying.source, dying.target, [queue])
        except KilledError:
            moments += 1
            found = await stores.target.counts.queue(queue)
            incomplete = not await is_empty(stores.source, queue)
            if found is not None and incomplete and any(found.counts.values()):
                assert found.paused
                assert await paused(stores.source, queue)
            await move(stores.source, stores.target, [queue])
            assert await contents(stores.target, queue) == before
            assert await is_empty(stores.source, queue)
            assert await paused(stores.source, queue)
            assert not await paused(stores.target, queue)
        else:
            break
    assert moments > 30


async def test_run_that_ends_in_a_paused_queue_leaves_it_paused(stores: Stores) -> None:
    for moment in range(1, 1_000):
        queue = f"paint-{moment}"
        await stores.source.jobs.add([job(queue), job(queue, delay_ms=3_600_000)])
        await stores.source.limits.pause(queue)
        dying = Killer(moment).stores(stores)
        try:
            await move(dying.source, dying.target, [queue])
        except KilledError:
            await move(stores.source, stores.target, [queue])
            assert await is_empty(stores.source, queue)
            assert await paused(stores.target, queue)
        else:
            return


@pytest.mark.parametrize("end", ["source", "target"])
async def test_queue_that_a_worker_serves_is_not_moved_unless_forced(
    stores: Stores, end: str
) -> None:
    await stores.source.jobs.add([job(Q), job("other")])
    busy: Backend = getattr(stores, end)
    await busy.workers.register(card("w-1", Q))

    with pytest.raises(WrongStateError, match=r"w-1 of .* serves queue 'paint'"):
        await move_all(stores)
    assert not await paused(stores.source)
    assert await stores.target.counts.queue(Q) is None

    assert [each.queue for each in await move(stores.source, stores.target, ["other"])] == ["other"]
    await move_all(stores, force=True)
    assert await line(stores.target, State.WAIT, Q) != []
    await busy.workers.deregister("w-1")


async def test_queue_with_a_running_job_is_not_moved(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q), job(Q)])
    await HandWorker(stores.source).claim_one(Q)

    for force in (False, True):
        with pytest.raises(WrongStateError, match=r"running jobs \(1\)"):
            await move_all(stores, force=force)

    assert not await paused(stores.source)
    assert await stores.target.counts.queue(Q) is None


async def test_job_that_begins_at_the_last_moment_stops_the_move(stores: Stores) -> None:
    """Workers serve the queue, and one claims while it is being paused."""
    await stores.source.jobs.add([job(Q), job(Q)])
    worker = HandWorker(stores.source)

    class Claiming:
        def __getattr__(self, name: str) -> Any:
            return getattr(stores.source.limits, name)

        async def pause(self, queue: str, **how: Any) -> None:
            await worker.claim_one(queue)
            await stores.source.limits.pause(queue, **how)

    busy: Any = Claiming()
    with pytest.raises(WrongStateError, match="running jobs"):
        await move(dataclasses.replace(stores.source, limits=busy), stores.target, [Q])

    assert not await paused(stores.source)
    assert not await paused(stores.target)
    assert await is_empty(stores.target)


async def test_job_of_a_dead_worker_goes_back_in_line_and_over(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q), job(Q)])
    await stores.source.workers.register(card("worker-1", Q))
    worker = HandWorker(stores.source)
    claimed = await worker.claim_one(Q)
    worker.renew(claimed)
    await stores.source.workers.declare_dead("worker-1")

    await move_all(stores)

    assert (await line(stores.target, State.WAIT, Q))[0] == claimed.id
    record = await stores.target.jobs.get(Q, claimed.id)
    assert record is not None
    assert (record.stalled, record.deferred_failure) == (1, None)
    assert [attempt.outcome for attempt in record.attempts] == ["stalled"]


async def test_store_is_not_moved_to_itself(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q)])

    with pytest.raises(InvalidOptionError, match="is the store that the jobs are in"):
        await move(stores.source, stores.source, None)

    assert await line(stores.source, State.WAIT, Q) == ["1"]
    assert not await paused(stores.source)


async def test_unknown_queue_is_refused_with_the_nearest(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q)])

    with pytest.raises(InvalidOptionError, match="'pint': did you mean 'paint'"):
        await move(stores.source, stores.target, ["pint"])


TIES = (
    '{"repeat":{"every":1000,"count":2},"repeatJobKey":"tick"}',
    '{"parent":{"id":"2","queue":"bull:flows"},"attempts":2}',
)
"""Options of jobs whose schedule or parent is not there any more."""


async def test_jobs_whose_schedule_or_parent_is_gone_move_like_any_other(stores: Stores) -> None:
    await stores.source.jobs.add(
        [job(Q, job_id=f"t{number}", opts=TIES[number % 2]) for number in range(120)]
    )

    (found,) = await move_all(stores)

    assert (found.moved[State.WAIT], found.tied, found.taken) == (120, 0, 0)
    assert await line(stores.target, State.WAIT, Q) == [f"t{number}" for number in range(120)]


async def test_jobs_keep_their_deduplication_ids(stores: Stores) -> None:
    rules = [DeduplicationRule("plain"), DeduplicationRule("timed", ttl_ms=3_600_000)]
    await stores.source.jobs.add(
        [
            job(Q, job_id=rule.id, opts=f'{{"de":{{"id":"{rule.id}"}}}}', deduplication=rule)
            for rule in rules
        ]
    )

    (found,) = await move_all(stores)

    assert (found.moved[State.WAIT], found.tied) == (2, 0)
    answers = await stores.target.jobs.add([job(Q, deduplication=rule) for rule in rules])
    assert [(answer.job_id, answer.duplicate) for answer in answers] == [
        ("plain", True),
        ("timed", True),
    ]
    held = await stores.target.moving.held_ids(Q, ["plain", "timed"])
    assert held[0] == HeldId("plain", None)
    assert held[1] is not None
    assert 3_500_000 < (held[1].left_ms or 0) <= 3_600_000
    assert await stores.source.deduplication.holder(Q, "timed") is None


async def test_what_a_tied_job_left_behind_goes_over(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q, opts=TIES[0])])
    worker = HandWorker(stores.source)
    await worker.end(await worker.claim_one(Q), "completed")

    (found,) = await move_all(stores)

    assert (found.moved[State.COMPLETED], found.tied) == (1, 0)


async def test_jobs_whose_ids_the_target_has_stay_where_they_are(stores: Stores) -> None:
    await stores.target.jobs.add([job(Q, job_id="b", data='"other"')])
    await stores.source.jobs.add([job(Q, job_id=job_id) for job_id in "abc"])

    (found,) = await move_all(stores)

    assert (found.moved[State.WAIT], found.taken, found.taken_id) == (2, 1, "b")
    assert await line(stores.source, State.WAIT, Q) == ["b"]
    assert await line(stores.target, State.WAIT, Q) == ["b", "a", "c"]
    other = await stores.target.jobs.get(Q, "b")
    assert other is not None
    assert other.data == '"other"'


async def test_fewer_jobs_in_the_target_than_were_moved_are_an_error(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q) for _ in range(5)])

    class Drained:
        def __getattr__(self, name: str) -> Any:
            return getattr(stores.source.moving, name)

        async def remove(self, queue: str, state: State, job_ids: list[str]) -> list[bool]:
            await stores.target.bulk.drain(queue, delayed=False, limit=2)
            return await stores.source.moving.remove(queue, state, job_ids)

    moving: Any = Drained()
    with pytest.raises(MigrationError, match=r"'paint', state wait: .* counts 3 where 5 should"):
        await move(dataclasses.replace(stores.source, moving=moving), stores.target, None)

    assert await paused(stores.source)
    assert await paused(stores.target)


async def test_jobs_that_the_source_counts_and_does_not_show_are_an_error(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q, job_id="hidden"), job(Q)])

    class Hiding:
        def __getattr__(self, name: str) -> Any:
            return getattr(stores.source.jobs, name)

        async def page(self, wanted: JobFilter) -> JobPage:
            page = await stores.source.jobs.page(wanted)
            return JobPage([found for found in page.jobs if found.id != "hidden"], page.next)

    jobs: Any = Hiding()
    with pytest.raises(MigrationError, match=r"'paint', state wait: .* counts 1 where 0 should"):
        await move(dataclasses.replace(stores.source, jobs=jobs), stores.target, None)

    assert await paused(stores.source)
    assert await paused(stores.target)
    await move_all(stores)
    assert await is_empty(stores.source)
    assert not await paused(stores.target)


async def test_delayed_jobs_that_come_due_meanwhile_are_no_difference(stores: Stores) -> None:
    await stores.source.jobs.add([job(Q, delay_ms=3_600_000) for _ in range(4)])
    claimer = HandWorker(stores.target)

    class Promoted:
        def __getattr__(self, name: str) -> Any:
            return getattr(stores.source.moving, name)

        async def remove(self, queue: str, state: State, job_ids: list[str]) -> list[bool]:
            await stores.target.bulk.promote(queue, limit=3)
            assert await claimer.claim(queue) == []
            return await stores.source.moving.remove(queue, state, job_ids)

    moving: Any = Promoted()
    (found,) = await move(dataclasses.replace(stores.source, moving=moving), stores.target, None)

    assert found.moved[State.DELAYED] == 4
    assert len(await line(stores.target, State.WAIT, Q)) == 3


async def test_job_that_changes_its_state_meanwhile_goes_over_once(stores: Stores) -> None:
    """An operator promotes it between being read and being removed."""
    await stores.source.jobs.add([job(Q, job_id="own", delay_ms=3_600_000), job(Q, job_id="next")])

    class Promoting:
        def __getattr__(self, name: str) -> Any:
            return getattr(stores.source.moving, name)

        async def remove(self, queue: str, state: State, job_ids: list[str]) -> list[bool]:
            if state is State.DELAYED and job_ids == ["own"]:
                await stores.source.bulk.promote(queue, limit=9)
            return await stores.source.moving.remove(queue, state, job_ids)

    moving: Any = Promoting()
    await move(dataclasses.replace(stores.source, moving=moving), stores.target, None)

    assert await is_empty(stores.source)
    ids = [each for where in MOVABLE for each in await line(stores.target, where, Q)]
    assert sorted(ids) == ["next", "own"]


def app(url: str) -> App:
    return App(url, settings=Settings())


async def test_app_moves_to_another_app(tmp_path: Path) -> None:
    async with app(f"sqlite:///{tmp_path}/a.db") as old, app(f"sqlite:///{tmp_path}/b.db") as new:
        added = await old.queue("mail").add("send", {"to": "jo"}, JobOptions(priority=16))
        await old.queue("mail").set_rate(RateLimit(limit=10, window_s=60))

        (plan,) = await old.migrate_to(new, dry_run=True)
        assert plan.moved[State.PRIORITIZED] == 1
        assert await new.queues() == []
        (found,) = await old.migrate_to(new, queues=["mail"])

        assert found.moved == plan.moved
        info = await new.queue("mail").job(added.id).info()
        assert (info.data, info.priority) == ({"to": "jo"}, 16)
        there = await new.queue("mail").info()
        assert there is not None
        assert (there.rate_limit, there.rate_window_s, there.paused) == (10, 60.0, False)


async def test_schedules_move_each_with_its_next_job(stores: Stores) -> None:
    async def put(schedule_id: str, **more: Any) -> ScheduleRecord:
        wanted = ScheduleRecord(
            queue=Q, id=schedule_id, name="cars", data='{"n":1}', next_ms=0,
            timing=Timing(every_ms=3_600_000), declared=Declared("shop", "x", 7), **more,
        )  # fmt: skip
        due = schedule_id == "due"
        return await save(stores.source.schedules, wanted, immediately=due)

    made = [
        await put("later", limit=5, beside=Beside(missed="all", jitter_ms=9)),
        await put("due", opts='{"priority":4}'),
        await put("paused"),
    ]
    assert await change(stores.source.schedules, Q, "paused", pausing) is not None
    await stores.source.jobs.add([job(Q)])
    before = await stores.source.schedules.read(Q, [one.id for one in made])

    (moved,) = await move_all(stores)

    assert (moved.schedules, moved.moved[State.WAIT], moved.tied, moved.taken) == (3, 1, 0, 0)
    after = await stores.target.schedules.read(Q, [one.id for one in made])
    assert after.schedules == before.schedules
    assert await stores.source.schedules.ids(Q) == []
    left = await stores.source.counts.queue(Q)
    assert left is not None
    assert not any(left.counts.values())
    assert len(await line(stores.target, State.DELAYED, Q)) == 1
    assert await line(stores.target, State.PRIORITIZED, Q) == [made[1].job_id]
    (again,) = await move_all(stores)
    assert (again.schedules, again.moved[State.WAIT]) == (0, 0)


async def test_move_of_schedules_that_was_cut_short_goes_on(stores: Stores) -> None:
    wanted = ScheduleRecord(
        queue=Q, id="s", name="cars", data=None, next_ms=0, timing=Timing(pattern="0 6 * * *")
    )
    saved = await save(stores.source.schedules, wanted)
    await save(stores.target.schedules, wanted)  # and then it was killed

    (moved,) = await move_all(stores)

    assert moved.schedules == 1
    assert await line(stores.target, State.DELAYED, Q) == [saved.job_id]
    assert await line(stores.source, State.DELAYED, Q) == []


async def test_another_schedule_of_that_id_is_not_overwritten(stores: Stores) -> None:
    wanted = ScheduleRecord(
        queue=Q, id="s", name="cars", data=None, next_ms=0, timing=Timing(pattern="0 6 * * *")
    )
    await save(stores.source.schedules, wanted)
    await save(stores.target.schedules, msgspec.structs.replace(wanted, name="vans"))

    with pytest.raises(MigrationError, match="another schedule 's'"):
        await move_all(stores)

    assert await stores.source.schedules.ids(Q) == ["s"]


async def test_jobs_that_a_schedule_has_made_before_move_like_any_other(stores: Stores) -> None:
    opts = '{"repeat":{"every":1000,"count":2},"repeatJobKey":"tick"}'
    await stores.source.jobs.add([job(Q, job_id="repeat:tick:1000", opts=opts)])
    worker = HandWorker(stores.source)
    await worker.end(await worker.claim_one(Q), "failed", reason="boom")

    (moved,) = await move_all(stores)

    assert (moved.moved[State.FAILED], moved.tied) == (1, 0)
    assert await line(stores.target, State.FAILED, Q) == ["repeat:tick:1000"]


# Flows


async def plant_flow(backend: Backend) -> None:
    """Add a tree of three levels over three queues; two of its jobs have ended."""
    middle = Tree("M", "middle", [Tree("L1"), Tree("L2")], on_failure="ignore")
    root = Tree("G", PARENTS, [middle, Tree("N", on_failure="ignore"), Tree("O")])
    await plant(backend, root)
    worker = HandWorker(backend)
    await finish(worker, "L1", value='"first"')
    await finish(worker, "L2")
    await fail(worker, "N", reason="no luck")


async def test_flow_moves_whole_and_goes_on_in_the_target(stores: Stores) -> None:
    await plant_flow(stores.source)

    moves = {each.queue: each for each in await move_all(stores)}

    assert sum(each.tied + each.taken for each in moves.values()) == 0
    assert moves[PARENTS].moved[State.WAITING_CHILDREN] == 1
    assert await fates(stores.target, "G") == {"M": "pending", "N": "ignored", "O": "pending"}
    found = {child.job_id: child for child in await children(stores.target, "M", "middle")}
    assert (found["L1"].fate, found["L1"].value) == ("completed", '"first"')
    there = await stores.target.jobs.get("middle", "M")
    assert there is not None
    assert there.parent == ParentRef(PARENTS, "G", "ignore")
    worker = HandWorker(stores.target)
    await finish(worker, "O")
    await finish(worker, "M", "middle")
    await finish(worker, "G", PARENTS)
    for queue in (KIDS, "middle", PARENTS):
        record = await stores.source.counts.queue(queue)
        assert record is not None
        assert not any(record.counts.values())


async def test_move_that_would_cut_a_flow_leaves_it_whole(stores: Stores) -> None:
    await plant_flow(stores.source)
    await plant(stores.source, Tree("P", PARENTS, [Tree("C", PARENTS)]))

    (found,) = await move(stores.source, stores.target, [PARENTS])

    assert (found.tied, found.tied_id) == (1, "G")
    assert await line(stores.target, State.WAITING_CHILDREN, PARENTS) == ["P"]
    assert await line(stores.source, State.WAITING_CHILDREN, PARENTS) == ["G"]
    assert await fates(stores.source, "G") == {"M": "pending", "N": "ignored", "O": "pending"}
    await finish(HandWorker(stores.target), "C", PARENTS)
    await finish(HandWorker(stores.target), "P", PARENTS)


async def test_plan_says_which_flows_would_be_cut(stores: Stores) -> None:
    await plant_flow(stores.source)

    (part,) = await plan(stores.source, [PARENTS])
    whole = await plan(stores.source, None)

    assert (part.tied, part.tied_id, part.moved[State.WAITING_CHILDREN]) == (1, "G", 0)
    assert [each.tied for each in whole] == [0, 0, 0]


@pytest.mark.parametrize("calls", range(1, 6))
async def test_move_of_flows_that_was_cut_short_is_ended_by_another(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    await plant_flow(stores.source)
    left = calls

    def cut(role: Any, verb: str) -> None:
        whole = getattr(role, verb)

        async def act(*args: Any, **how: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                raise RuntimeError("killed")
            return await whole(*args, **how)

        monkeypatch.setattr(role, verb, act)

    cut(stores.source.moving, "remove")
    cut(stores.target.moving, "adopt")
    with pytest.raises(RuntimeError, match="killed"):
        await move_all(stores)
    monkeypatch.undo()

    moves = await move_all(stores)

    assert sum(each.tied + each.taken for each in moves) == 0
    worker = HandWorker(stores.target)
    await finish(worker, "O")
    await finish(worker, "M", "middle")
    await finish(worker, "G", PARENTS)
