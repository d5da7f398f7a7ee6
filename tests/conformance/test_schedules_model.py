"""Any sequence of what may happen to schedules leaves what a few lines of Python say."""

from __future__ import annotations

import random

import pytest
from tests.support.contract import HandWorker, Q, state

from toril.engine.contract import Backend
from toril.engine.schedules.record import Beside, ScheduleRecord, iteration, job_id_of
from toril.engine.schedules.slots import Timing
from toril.engine.states import State
from toril.testing.clock import ManualClock

IDS = ("a", "b", "c")
STEP_MS = 1000
ACTS = 120


class Model:
    """Which slot each schedule has, and where each job is."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.jobs: dict[str, State] = {}
        self.due: dict[str, int] = {}

    def promote(self, now_ms: int) -> None:
        """Let what is due be in line, as each claim does."""
        for job_id, due_ms in self.due.items():
            if self.jobs.get(job_id) is State.DELAYED and due_ms <= now_ms:
                self.jobs[job_id] = State.WAIT

    def add(self, job_id: str, due_ms: int, now_ms: int) -> None:
        self.jobs[job_id] = State.DELAYED if due_ms > now_ms else State.WAIT
        self.due[job_id] = due_ms

    def waits(self, job_id: str) -> bool:
        return self.jobs.get(job_id) in (State.WAIT, State.DELAYED)


class Run:
    """The backend and the model, side by side."""

    def __init__(self, backend: Backend, clock: ManualClock, chance: random.Random) -> None:
        self.backend = backend
        self.clock = clock
        self.chance = chance
        self.model = Model()
        self.worker = HandWorker(backend)
        self.told: list[str] = []

    def record(self, schedule_id: str, slot_ms: int, *, paused: bool = False) -> ScheduleRecord:
        return ScheduleRecord(
            queue=Q, id=schedule_id, name="cars", data=None, next_ms=slot_ms,
            timing=Timing(every_ms=STEP_MS, offset_ms=0), beside=Beside(paused=paused),
        )  # fmt: skip

    def slot(self) -> int:
        """Return one of a few slots around now, so that they meet."""
        now_ms = self.clock.now_ms()
        return (now_ms // STEP_MS + self.chance.randint(-1, 3)) * STEP_MS

    async def put(self, schedule_id: str) -> None:
        model, now_ms = self.model, self.clock.now_ms()
        slot_ms, paused = self.slot(), self.chance.random() < 0.2
        seen = model.slots.get(schedule_id)
        wrong = self.chance.random() < 0.2
        wanted = self.record(schedule_id, slot_ms, paused=paused)
        job = None if paused else iteration(wanted, slot_ms, 1, now_ms, follows=False)

        word = await self.backend.schedules.put(wanted, job, seen_ms=1 if wrong else seen)

        before = None if seen is None else job_id_of(schedule_id, seen)
        target = job_id_of(schedule_id, slot_ms)
        replaces = before is not None and model.waits(before)
        if wrong:
            assert word == "passed"
        elif job is not None and target in model.jobs and not (replaces and before == target):
            assert word == "taken"
        else:
            assert word == "ok"
            if before is not None and replaces:
                del model.jobs[before]
            if job is not None:
                model.add(target, slot_ms, now_ms)
            model.slots[schedule_id] = slot_ms

    async def advance(self, schedule_id: str) -> None:
        model, now_ms = self.model, self.clock.now_ms()
        seen = model.slots.get(schedule_id, 1) + self.chance.choice((0, 0, 0, STEP_MS))
        after = self.record(schedule_id, self.slot())
        job = iteration(after, after.next_ms, 2, now_ms, follows=True)

        word = await self.backend.schedules.advance(after, job, slot_ms=seen)

        if model.slots.get(schedule_id) != seen:
            assert word == "passed"
        elif job.job_id in model.jobs:
            assert word == "taken"
        else:
            assert word == "ok"
            model.slots[schedule_id] = after.next_ms
            model.add(job_id_of(schedule_id, after.next_ms), after.next_ms, now_ms)

    async def remove(self, schedule_id: str) -> None:
        slot_ms = self.model.slots.pop(schedule_id, None)

        assert await self.backend.schedules.remove(Q, schedule_id) == (slot_ms is not None)

        if slot_ms is not None:
            job_id = job_id_of(schedule_id, slot_ms)
            if self.model.jobs.get(job_id) is State.DELAYED:
                del self.model.jobs[job_id]

    async def work(self, _schedule_id: str) -> None:
        claimed = await self.worker.claim(limit=2)
        self.model.promote(self.clock.now_ms())
        for one in claimed:
            assert self.model.jobs[one.id] is State.WAIT
            self.model.jobs[one.id] = State.ACTIVE
        for one in claimed:
            assert await self.worker.end(one, "completed") == "ok"
            self.model.jobs[one.id] = State.COMPLETED

    async def drain(self, _schedule_id: str) -> None:
        await self.backend.bulk.drain(Q, delayed=True, limit=100)
        kept = {job_id_of(one, slot_ms) for one, slot_ms in self.model.slots.items()}
        for job_id in [one for one in self.model.jobs if self.model.waits(one)]:
            if job_id not in kept:
                del self.model.jobs[job_id]

    async def pass_time(self, _schedule_id: str) -> None:
        self.clock.advance(self.chance.randint(1, 2 * STEP_MS) / 1000)

    async def check(self) -> None:
        reading = await self.backend.schedules.read(Q, IDS)
        found = {one.id: one.next_ms for one in reading.schedules if one is not None}
        assert found == self.model.slots
        assert sorted(await self.backend.schedules.ids(Q)) == sorted(self.model.slots)
        for one in reading.schedules:
            if one is not None:
                assert one.job_state == self.model.jobs.get(one.job_id)
        for job_id, wanted in self.model.jobs.items():
            assert await state(self.backend, job_id) is wanted, job_id


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_leaves_what_the_model_says(
    backend: Backend, clock: ManualClock, seed: int
) -> None:
    run = Run(backend, clock, random.Random(seed))
    acts = [run.put, run.advance, run.advance, run.work, run.pass_time, run.remove, run.drain]
    await run.put("a")

    for _ in range(ACTS):
        act, schedule_id = run.chance.choice(acts), run.chance.choice(IDS)
        run.told.append(f"{act.__name__} {schedule_id}")
        try:
            await act(schedule_id)
            await run.check()
        except AssertionError as error:
            raise AssertionError(f"after {run.told[-6:]}: {error}") from error
