"""Schedules in trouble: workers killed, the server restarted, the calendar moved, very many.

No slot runs twice, and none is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.programs.movable_clock import MovableClock
from tests.faults.support import FULL, Say, Stage, WorkerProgram, open_stage
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.core.errors import BackendError
from toril.engine.schedules.record import slot_of

QUEUE = "loop"
EVERY_S = 0.25
SCHEDULES = 8
ROUNDS = 20 if FULL else 4
"""Kills in a storm."""
SLOTS = 30 * (ROUNDS // 4)
"""Of each schedule."""
MANY = 10_000 if FULL else 1_000
HOUR_S = 3600


@pytest.fixture(params=["file", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store of each kind; every process on it ends with the test."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def worker(stage: Stage) -> WorkerProgram:
    return stage.worker(queues=[QUEUE], concurrency=10, lease=1.0, sweep=0.3, max_stalled=1_000)


async def put_all(app: App, *, limit: int) -> None:
    for number in range(SCHEDULES):
        await app.schedules.put(
            f"s{number}", app.queue(QUEUE), {"duration_s": 0.02}, name="mark_on_loop",
            every=EVERY_S, limit=limit, missed="all",
        )  # fmt: skip


async def until_ended(app: App, *, deadline_s: float = 120.0) -> None:
    async def ended() -> bool:
        try:
            return all(one.ended for one in await app.schedules.list())
        except BackendError:
            return False

    await wait_until(ended, deadline_s=deadline_s, what="all schedules to end")


async def check_slots(stage: Stage, limit: int) -> Counter[str]:
    """Assert that each slot of each schedule was completed, once; return how often each ran."""
    completed = await stage.told("completed", [QUEUE])
    assert set(completed.values()) == {1}
    slots: dict[str, list[int]] = {}
    for key in completed:
        found = slot_of(key.removeprefix(f"{QUEUE}/"))
        assert found is not None
        slots.setdefault(found[0], []).append(found[1])
    assert len(slots) == SCHEDULES
    for schedule_id, moments in slots.items():
        moments.sort()
        gaps = {after - before for before, after in itertools.pairwise(moments)}
        assert gaps == {round(EVERY_S * 1000)}, f"{schedule_id} has lost slots: {gaps}"
        assert len(moments) == limit
    assert set(stage.marks) == set(completed), "a slot completed without its side effect"
    return stage.marks


@pytest.mark.timeout(ROUNDS * 60 + 120)
async def test_no_slot_is_lost_or_completed_twice_when_workers_are_killed(
    stage: Stage, say: Say
) -> None:
    workers = [worker(stage) for _ in range(3)]
    for one in workers:
        await one.ready()
    await put_all(stage.app, limit=SLOTS)

    for number in range(ROUNDS):
        wanted = (number + 1) * SCHEDULES * SLOTS // (ROUNDS + 2)
        await wait_until(
            lambda wanted=wanted: len(stage.marks) >= wanted,  # type: ignore[misc]
            deadline_s=60,
            what="the moment of the next kill",
        )
        victim = random.randrange(len(workers))
        workers[victim].kill()
        workers[victim] = worker(stage)
    await until_ended(stage.app)
    await stage.until_done(SCHEDULES * SLOTS, deadline_s=60)

    marks = await check_slots(stage, SLOTS)
    again = sum(times > 1 for times in marks.values())
    await stage.check_store()
    say(
        f"{SCHEDULES} schedules of {SLOTS} slots, {ROUNDS} kills: lost 0, completed twice 0; the"
        f" side effect of {again} came twice"
    )


async def test_no_slot_is_lost_when_all_workers_are_away(stage: Stage) -> None:
    await put_all(stage.app, limit=20)
    first = worker(stage)
    await first.ready()
    await wait_until(lambda: len(stage.marks) >= 3 * SCHEDULES, deadline_s=60, what="some slots")

    first.kill()
    missed = time.monotonic() + 8 * EVERY_S
    await wait_until(lambda: time.monotonic() > missed, what="slots to be missed")
    await worker(stage).ready()
    await until_ended(stage.app)
    await stage.until_done(SCHEDULES * 20, deadline_s=60)

    await check_slots(stage, 20)


async def test_no_slot_is_lost_when_the_server_restarts(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, say: Say
) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with RedisServer.start(tmp_path_factory.mktemp("restarted"), options=options) as server:
        stage = open_stage(tmp_path, url=server.url)
        try:
            workers = [worker(stage) for _ in range(2)]
            for one in workers:
                await one.ready()
            await put_all(stage.app, limit=SLOTS)
            for number in range(3):
                wanted = (number + 1) * SCHEDULES * SLOTS // 6
                await wait_until(
                    lambda wanted=wanted: len(stage.marks) >= wanted,  # type: ignore[misc]
                    deadline_s=60,
                    what="the moment of the next restart",
                )
                server.kill()
                server.restart()
            await until_ended(stage.app)
            await stage.until_done(SCHEDULES * SLOTS, deadline_s=60)

            await check_slots(stage, SLOTS)
            say(f"{SCHEDULES} schedules of {SLOTS} slots, 3 kills of the server: lost 0, twice 0")
        finally:
            await stage.close()


async def test_calendar_that_jumps_runs_no_slot_twice(tmp_path: Path) -> None:
    stage = open_stage(tmp_path)
    try:
        clock = MovableClock(stage.calendar)
        stage.app = App(stage.app.url, clock=clock)
        await worker(stage).ready()
        await stage.app.schedules.put(
            "s", stage.app.queue(QUEUE), name="mark_on_loop", every=EVERY_S
        )
        await wait_until(lambda: len(stage.marks) >= 3, what="some slots")

        clock.move_calendar(HOUR_S)
        before = len(stage.marks)
        await wait_until(lambda: len(stage.marks) >= before + 5, deadline_s=60, what="more slots")
        clock.move_calendar(0)  # its next slot is an hour away now: nothing runs twice meanwhile
        seen = len(stage.marks)
        job = await stage.add(QUEUE, "mark_on_loop")
        await job.result(timeout_s=60)
        assert len(stage.marks) <= seen + 2
        clock.move_calendar(HOUR_S)
        before = len(stage.marks)
        await wait_until(lambda: len(stage.marks) >= before + 5, deadline_s=60, what="more slots")

        assert set((await stage.told("completed", [QUEUE])).values()) == {1}
        assert set(stage.marks.values()) == {1}
        events = [one for one in await stage.events(QUEUE) if one.name == "missed"]
        counts = [
            int(one.fields["count"]) for one in events
        ]  # a slow worker misses one or two, too
        assert max(counts) > HOUR_S / EVERY_S - 100
        found = await stage.app.schedules.get("s")
        assert found is not None
        assert found.next_at is not None
    finally:
        await stage.close()


@pytest.mark.timeout(600)
async def test_many_schedules_cost_an_idle_worker_next_to_nothing(stage: Stage, say: Say) -> None:
    app = stage.app
    queue = app.queue(QUEUE)
    begun_s = time.perf_counter()
    for start in range(0, MANY, 200):
        puts = [
            app.schedules.put(f"s{number}", queue, name="mark_on_loop", cron="0 0 1 1 *")
            for number in range(start, min(start + 200, MANY))
        ]
        await asyncio.gather(*puts)
    put_s = time.perf_counter() - begun_s

    role = app.backend().schedules
    calls: dict[str, float] = {}
    begun_s = time.perf_counter()
    ids = await role.ids(QUEUE)
    calls["ids"] = time.perf_counter() - begun_s
    begun_s = time.perf_counter()
    await role.read(QUEUE, ids[:200])
    calls["read 200"] = time.perf_counter() - begun_s
    begun_s = time.perf_counter()
    assert await role.overdue(QUEUE, grace_ms=0, limit=200) == []
    calls["overdue"] = time.perf_counter() - begun_s
    begun_s = time.perf_counter()
    assert len(await app.schedules.list()) == MANY
    listed_s = time.perf_counter() - begun_s

    program = worker(stage)
    await program.ready()
    await stage.add(QUEUE, "mark_on_loop")
    await stage.until_done(1, deadline_s=60)
    before_s, begun_s = _cpu_s(program), time.monotonic()
    await wait_until(lambda: time.monotonic() > begun_s + 3, deadline_s=10, what="3 s to pass")
    share = (_cpu_s(program) - before_s) / (time.monotonic() - begun_s)

    told = ", ".join(f"{name} {call_s * 1000:.1f} ms" for name, call_s in calls.items())
    say(
        f"{MANY:,} schedules: put in {put_s:.1f} s, all listed in {listed_s:.2f} s; {told};"
        f" a worker beside them uses {share:.1%} of a core"
    )
    assert len(ids) == MANY
    assert share < 0.3
    assert max(calls.values()) < 2.0


def _cpu_s(program: WorkerProgram) -> float:
    fields = Path(f"/proc/{program.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
