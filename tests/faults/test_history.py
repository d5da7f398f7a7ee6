"""History against a plain count of the events, while workers are killed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.faults.support import FULL, Say, Stage, WorkerProgram, open_stage
from tests.support.waiting import wait_until

from toril import Durations, EventRecord, JobOptions, KeepPolicy
from toril.engine.tally import bucket_of

ROUNDS = 200 if FULL else 2
JOBS = 1000 if FULL else 300
"""Of a round: a queue keeps the newest 10,000 events, of which a job has up to eight."""
QUEUE = "counted"
DEADLINE_S = 120.0
LATE_MS = 20


@dataclass
class PlainCount:
    """What the events of a queue say, one by one."""

    ended: Counter[str] = field(default_factory=Counter)
    waits_ms: list[int] = field(default_factory=list)
    runs_ms: list[int] = field(default_factory=list)
    position: int = 0
    lost: int = 0
    _ready: dict[str, int | None] = field(default_factory=dict)
    """Since when a job can start. None: not known, as after its worker was lost."""
    _began: dict[str, int] = field(default_factory=dict)
    _waits: dict[str, int] = field(default_factory=dict)
    """Of attempts that run: a wait counts with the outcome."""

    def note(self, event: EventRecord) -> None:
        job_id = event.job_id or ""
        self.position = event.position
        match event.name:
            case "waiting":
                if event.fields.get("prev") == "active":
                    self._ready[job_id] = None
                    self._began.pop(job_id)
                    self._waits.pop(job_id, None)
                    self.lost += 1
                elif event.fields.get("prev") != "delayed":
                    self._ready[job_id] = event.at_ms
            case "delayed":
                self._end(job_id, "retried", event.at_ms)
                self._ready[job_id] = int(event.fields["delay"])
            case "active":
                self._began[job_id] = event.at_ms
                if (ready := self._ready[job_id]) is not None:
                    self._waits[job_id] = max(0, event.at_ms - ready)
            case "completed" | "failed":
                self._end(job_id, str(event.name), event.at_ms)
                self._ready.pop(job_id)

    def _end(self, job_id: str, outcome: str, at_ms: int) -> None:
        self.ended[outcome] += 1
        self.runs_ms.append(at_ms - self._began.pop(job_id))
        if (wait_ms := self._waits.pop(job_id, None)) is not None:
            self.waits_ms.append(wait_ms)


@pytest.fixture(params=["file", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store of each kind; every process on it ends with the test."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def worker(stage: Stage) -> WorkerProgram:
    return stage.worker(queues=[QUEUE], concurrency=50, lease=1.0, sweep=0.5, max_stalled=1_000)


async def add_round(stage: Stage) -> None:
    """Add jobs that complete, fail once or fail for good; half of them are removed at once."""
    queue = stage.app.queue(QUEUE)
    for keep in (KeepPolicy(count=0), KeepPolicy(count=1000)):
        jobs = [
            (
                "fail_at_first",
                {
                    "times": random.choices((0, 1, 2), (8, 1, 1))[0],
                    "duration_s": round(random.lognormvariate(-6, 1.5), 4),
                },
            )
            for _ in range(JOBS // 2)
        ]
        await queue.add_many(jobs, JobOptions(keep_completed=keep, keep_failed=keep))


@pytest.mark.timeout(300 + ROUNDS * DEADLINE_S)
async def test_history_is_what_the_events_say(stage: Stage, say: Say) -> None:
    plain, kills = PlainCount(), 0
    workers = [worker(stage), worker(stage)]
    for one in workers:
        await one.ready()

    for number in range(ROUNDS):
        await add_round(stage)
        if number % 5 == 0:
            await wait_until(lambda: is_busy(stage), deadline_s=DEADLINE_S, what="jobs to run")
            victim = random.randrange(2)
            workers[victim].kill()
            workers[victim] = worker(stage)
            kills += 1
        await stage.until_done((number + 1) * JOBS, deadline_s=DEADLINE_S)
        events = stage.app.queue(QUEUE).events(after=plain.position, until_idle=True)
        async for event in events:
            plain.note(event)

    found = await stage.app.history(QUEUE, since=3 * 3600, step=3600)
    by_minute = await stage.app.history(QUEUE, since=3 * 3600, step=60)
    for series in (found, by_minute):
        total = series.total
        assert series.tasks == ["fail_at_first"]
        assert {
            "completed": total.completed, "failed": total.failed, "retried": total.retried,
        } == dict(plain.ended)  # fmt: skip
        assert sum(point.completed for point in series.points) == total.completed
        check(total.run, plain.runs_ms)
        check(total.wait, plain.waits_ms)
    say(
        f"{ROUNDS * JOBS:,} jobs, {kills} kills, {plain.lost} attempts lost: the history counts"
        f" {dict(plain.ended)} as the events do; run p95 {found.total.run.p95_s} s, wait p95"
        f" {found.total.wait.p95_s} s"
    )


async def is_busy(stage: Stage) -> bool:
    return await stage.figure("active") > 0


def check(found: Durations, plain_ms: list[int]) -> None:
    """Assert that a histogram has as many durations, and percentiles within a bucket.

    On Redis an event is dated by the server, which a busy machine runs some milliseconds after the
    worker has dated the transition that emits it.
    """
    assert found.count == len(plain_ms)
    assert abs(found.sum_s * 1000 - sum(plain_ms)) <= LATE_MS * len(plain_ms)
    plain_ms.sort()
    for percent in (1, 25, 50, 75, 90, 95, 99, 100):
        true_ms = plain_ms[max(1, -(-len(plain_ms) * percent // 100)) - 1]
        told_s = found.percentile_s(percent)
        assert told_s is not None
        told = bucket_of(told_s * 1000)
        assert bucket_of(max(0, true_ms - LATE_MS)) <= told <= bucket_of(true_ms + LATE_MS), percent
