"""One queue, Bull 4 and Toril: each adds and works, beside the other.

Bull's jobs have the name `__default__` in most programs. It writes no marker, and takes a job in
two steps.
"""

from __future__ import annotations

import collections
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.interop.samples import samples
from tests.interop.watching import (
    PATIENCE_S,
    check_each_done_once,
    until,
    until_completed,
    until_in,
)
from tests.support.contract import HandWorker
from tests.support.redis_server import RedisServer
from tests.support.relatives import Bull4

from toril import App, Context, JobOptions, RetryPolicy, State, WholePayload
from toril.engine.contract.dispatch import Recovery
from toril.engine.contract.lifecycle import Finding

pytestmark = pytest.mark.timeout(600)  # the first one installs

NAMELESS = "__default__"
Q = "paint"
POLLED_S = 5.0
"""Within this a job starts that nobody was woken for: a second, and what a busy machine adds. A
worker that does not poll sleeps for 12 s."""


@pytest.fixture
async def bull(redis_url: str) -> AsyncIterator[Bull4]:
    """A Node process with Bull 4, on the same empty store as `redis_url`."""
    async with await Bull4.start(redis_url) as bull:
        yield bull


class Lines:
    """The raw keys of the queue."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self._server = server
        self._base = f"{prefix}:{Q}"

    def key(self, name: str) -> str:
        """Return a key of the queue."""
        return f"{self._base}:{name}"

    def run(self, command: str, key: str, *arguments: str | int) -> Any:
        """Run a command on a key of the queue."""
        return self._server.command(command, self.key(key), *arguments)


@pytest.fixture
def lines(redis_server: RedisServer, redis_prefix: str) -> Lines:
    return Lines(redis_server, redis_prefix)


async def test_version_is_the_one_that_is_meant(bull: Bull4) -> None:
    assert (await bull.version()).startswith("4.16.")


async def test_jobs_that_bull_added_are_worked_as_they_lie(app: App, bull: Bull4) -> None:
    ran: list[tuple[str, dict[str, int]]] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(ctx: Context, n: int) -> dict[str, int]:
        ran.append((ctx.job_id, {"n": n}))
        return {"painted": n}

    plain = await bull.add(Q, NAMELESS, {"n": 1})
    late = await bull.add(Q, NAMELESS, {"n": 2}, delay=300)
    urgent = await bull.add(Q, NAMELESS, {"n": 3}, priority=1)
    own_id = await bull.add(Q, NAMELESS, {"n": 4}, jobId="mark-7")
    async with app.worker(queues=[Q]):
        await until_completed(app, Q, 4)

    assert ran[0][0] == urgent, "Bull puts a job with a priority where it runs next"
    assert sorted(job_id for job_id, _ in ran) == sorted([plain, late, urgent, own_id])
    done = await bull.job(Q, own_id)
    assert done["returnvalue"] == {"painted": 4}
    assert await bull.state(Q, own_id) == "completed"


@pytest.mark.parametrize("lease_s", [30.0, 0.9])  # with the second no claim stands
async def test_idle_worker_sees_jobs_of_bull_within_a_second_or_so(
    app: App, bull: Bull4, lines: Lines, lease_s: float
) -> None:
    """Nobody wakes it: it began after 3 to 9 s."""
    started: list[float] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> None:
        started.append(time.monotonic())

    async with app.worker(queues=[Q], lease=lease_s):
        for n in range(3):  # the first when the queue has no keys yet
            await until(lambda: lines.run("EXISTS", "active") == 0, "the worker to be idle")
            added_s = time.monotonic()
            await bull.add(Q, NAMELESS, {"n": n})
            await until(lambda n=n: len(started) == n + 1, f"job {n} to start")  # type: ignore[misc]
            assert started[n] - added_s < POLLED_S

    assert lines.run("HGET", "meta", "version") is None, "only Bull has added"


async def test_idle_worker_sees_them_on_a_queue_that_others_signed(
    app: App, bull: Bull4, lines: Lines
) -> None:
    started: list[int] = []

    @app.task(queue=Q)
    async def paint(n: int) -> None:
        started.append(n)

    @app.task(queue=Q, name=NAMELESS)
    async def nameless(n: int) -> None:
        started.append(n)

    await bull.add(Q, NAMELESS, {"n": 1})
    await paint.enqueue(n=2)
    assert lines.run("HGET", "meta", "version") is not None
    async with app.worker(queues=[Q]):
        await until(lambda: len(started) == 2, "both to run")
        added_s = time.monotonic()
        await bull.add(Q, NAMELESS, {"n": 3}, removeOnComplete=True)
        await until(lambda: 3 in started, "the third to run")
        assert time.monotonic() - added_s < POLLED_S


async def test_task_for_any_name_takes_them(app: App, bull: Bull4) -> None:
    seen: list[str] = []

    @app.task(queue=Q, any_name=True)
    async def whatever(ctx: Context, n: int) -> None:
        seen.append(ctx.task)

    await bull.add(Q, NAMELESS, {"n": 1})
    await bull.add(Q, "named:so", {"n": 2})
    async with app.worker(queues=[Q]):
        await until_completed(app, Q, 2)

    assert len(seen) == 2


async def test_jobs_of_ours_are_worked_by_bull(app: App, bull: Bull4) -> None:
    await bull.worker(Q, {"echo": True})

    job = await app.queue(Q).add(NAMELESS, {"n": 1})
    late = await app.queue(Q).add(NAMELESS, {"n": 2}, JobOptions(delay_s=0.2))

    assert await job.result(timeout_s=60) == {"n": 1}
    assert (await until_in(app, late.id, State.COMPLETED)).attempts_made in (0, 1)


async def test_job_with_a_priority_is_seen_by_ours_only(
    app: App, bull: Bull4, lines: Lines
) -> None:
    """Bull knows no `prioritized`: what its workers are to take is added without a priority."""
    ran: list[int] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> None:
        ran.append(n)

    theirs = await bull.worker(Q, {"echo": True})
    await app.queue(Q).add(NAMELESS, {"n": 1}, JobOptions(priority=1))
    await app.queue(Q).add(NAMELESS, {"n": 2})
    await theirs.wait_for("completed")
    assert lines.run("ZCARD", "prioritized") == 1
    async with app.worker(queues=[Q]):
        await until_completed(app, Q, 2)
    assert ran == [1]


async def test_both_work_one_queue_and_each_job_is_done_once(app: App, bull: Bull4) -> None:
    """Added by both, with delays and failures. Sweeps of ours run meanwhile."""
    many = 2_000
    done: collections.Counter[str] = collections.Counter()

    @app.task(queue=Q, name=NAMELESS, retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def paint(ctx: Context, n: int) -> int:
        if n % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once more")
        done[ctx.job_id] += 1
        return n

    ids: list[str] = []
    for first in range(0, many // 2, 500):
        rows = [(NAMELESS, {"n": n}, bull_options(n)) for n in range(first, first + 500)]
        ids += await bull.add_bulk(Q, rows)
    behaviour = {"throws": "once more", "failures": 1, "every": 10, "echo": True}
    theirs = await bull.worker(Q, behaviour, concurrency=10)
    await theirs.wait_for("completed", many=many // 10, deadline_s=60)
    options = JobOptions(max_attempts=3, backoff="fixed", backoff_s=0.01)
    async with app.worker(queues=[Q], concurrency=10):
        for n in range(many // 2, many):
            ids.append((await app.queue(Q).add(NAMELESS, {"n": n}, options)).id)
        await until_completed(app, Q, many)
        await check_each_done_once(ids, done, theirs)
    info = await app.queue(Q).info()
    assert info is not None
    assert (info.completed, info.failed, info.active, info.waiting) == (many, 0, 0, 0)


def bull_options(n: int) -> dict[str, int]:
    """Return what the producer with Bull says of a job."""
    return {"attempts": 3, "backoff": 10, "delay": n % 2 * 20}


async def test_attempts_count_together(app: App, bull: Bull4) -> None:
    seen: list[int] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(ctx: Context, n: int) -> None:
        seen.append(ctx.attempt)
        raise ValueError("no paint")

    theirs = await bull.worker(Q, {"throws": "no brush"})
    job_id = await bull.add(Q, NAMELESS, {"n": 1}, attempts=3, backoff=1000)
    await theirs.wait_for("failed")
    await theirs.close()
    async with app.worker(queues=[Q]):
        info = await until_in(app, job_id, State.FAILED)

    assert seen == [2, 3]
    assert info.attempts_made == 3
    job = await bull.job(Q, job_id)
    assert (job["attemptsMade"], job["failedReason"]) == (3, "ValueError: no paint")


async def test_attempts_of_ours_count_for_bull(app: App, bull: Bull4) -> None:
    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> None:
        raise ValueError("no paint")

    job_id = await bull.add(Q, NAMELESS, {"n": 1}, attempts=2, backoff=3_600_000)
    async with app.worker(queues=[Q]):
        await until_in(app, job_id, State.DELAYED)
    theirs = await bull.worker(Q, {"throws": "no brush"})
    await bull.promote(Q, job_id)
    await theirs.wait_for("failed")

    assert await bull.state(Q, job_id) == "failed", "its second and last attempt"
    assert (await app.queue(Q).job(job_id).info()).attempts_made == 2


async def test_pause_of_bull_holds_ours_and_loses_nothing(
    app: App, bull: Bull4, lines: Lines
) -> None:
    """Its resume renames `paused` to `wait`, over whatever lies there."""
    ran: list[int] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> int:
        ran.append(n)
        return n

    await bull.add(Q, NAMELESS, {"n": 0}, delay=200)
    await bull.call(Q, "pause")
    await bull.add(Q, NAMELESS, {"n": 1})
    async with app.worker(queues=[Q]):
        await app.queue(Q).add(NAMELESS, {"n": 2})
        await until(lambda: lines.run("ZCARD", "delayed") == 0, "the delayed one to be due")
        info = await app.queue(Q).info()
        assert info is not None
        assert (info.paused, info.waiting) == (True, 3)
        counts = await bull.call(Q, "getJobCounts")
        assert (counts["paused"], counts["waiting"]) == (3, 0)
        listed, _ = await app.queue(Q).jobs(State.WAIT)
        assert len(listed) == 3
        assert ran == []
        await bull.call(Q, "resume")
        await until_completed(app, Q, 3)

    assert sorted(ran) == [0, 1, 2]


async def test_pause_of_ours_holds_bull(app: App, bull: Bull4) -> None:
    theirs = await bull.worker(Q, {"echo": True})
    await bull.add(Q, NAMELESS, {"n": 0})
    await theirs.wait_for("completed")

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> int:
        return n

    async with app.worker(queues=[Q]):
        pass  # it has seen who is there
    await app.queue(Q).pause()
    held = await bull.add(Q, NAMELESS, {"n": 1})
    ours = await app.queue(Q).add(NAMELESS, {"n": 2})
    assert await bull.call(Q, "isPaused")
    await app.queue(Q).resume()

    jobs = await theirs.wait_for("completed", many=3)
    assert [job["id"] for job in jobs[1:]] == [held, ours.id]


async def test_priorities_of_bull_stay_in_order_when_ours_have_taken_some(
    app: App, bull: Bull4, lines: Lines
) -> None:
    """What lies in its `priority` places its new jobs: left behind, it ran the urgent one late."""

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> None:
        pass

    for priority in (1, 2, 3):
        await bull.add(Q, NAMELESS, {"n": 0}, priority=priority)
    async with app.worker(queues=[Q]):
        await until_completed(app, Q, 3)
    assert lines.run("ZCARD", "priority") == 0

    ids = [await bull.add(Q, NAMELESS, {"n": 1}, priority=priority) for priority in (2, 2, 1, 3)]
    line = lines.run("LRANGE", "wait", 0, -1)
    assert line[::-1] == [ids[2], ids[0], ids[1], ids[3]]


async def test_job_that_bull_is_about_to_lock_is_left_to_it(
    app: App, bull: Bull4, lines: Lines
) -> None:
    """Bull locks a job one call after it has moved it. A sweep between the two took it back."""
    ours = HandWorker(app.backend())
    first = await bull.add(Q, NAMELESS, {"n": 0})
    assert [job.id for job in await ours.claim(Q)] == [first]
    taken = await bull.add(Q, NAMELESS, {"n": 1})
    lines.run("RPOPLPUSH", "wait", lines.key("active"))

    assert (await sweep(app)).recovered == []
    lines.run("SET", f"{taken}:lock", "of-bull", "PX", 60_000)
    assert (await sweep(app)).recovered == []

    lines.run("DEL", f"{taken}:lock")
    assert (await sweep(app)).recovered == [(Q, taken)], "marked by the sweep before"
    assert await bull.state(Q, taken) == "waiting"
    assert await bull.state(Q, first) == "active"


async def sweep(app: App) -> Recovery:
    """Look once for jobs whose worker is gone."""
    return await app.backend().dispatch.recover(max_stalled=5, heartbeat_s=60, limit=100)


async def test_jobs_of_a_killed_bull_worker_are_taken_back(
    app: App, bull: Bull4, redis_url: str
) -> None:
    ran: list[int] = []

    @app.task(queue=Q, name=NAMELESS)
    async def paint(n: int) -> None:
        ran.append(n)

    async with await Bull4.start(redis_url) as doomed:
        theirs = await doomed.worker(Q, {"waits": True}, concurrency=3, lockDuration=2_000)
        for n in range(3):
            await bull.add(Q, NAMELESS, {"n": n})
        await theirs.wait_for("active", many=3)
        await doomed.kill()
    async with app.worker(queues=[Q], sweep=0.3):
        await until_completed(app, Q, 3)

    assert sorted(ran) == [0, 1, 2]


async def test_jobs_of_a_killed_worker_of_ours_are_taken_back_by_bull(
    app: App, bull: Bull4
) -> None:
    dead = HandWorker(app.backend(), lease_ms=1_500)
    ids = [await bull.add(Q, NAMELESS, {"n": n}) for n in range(3)]
    assert len(await dead.claim(Q, limit=3)) == 3

    theirs = await bull.worker(Q, {"echo": True}, stalledInterval=300)
    jobs = await theirs.wait_for("completed", many=3, deadline_s=PATIENCE_S)

    assert sorted(job["id"] for job in jobs) == sorted(ids)


async def test_buffers_are_bytes(app: App, bull: Bull4) -> None:
    @app.task(queue=Q, name=NAMELESS)
    async def paint(ctx: Context, content: bytes) -> list[Any]:
        return [content.decode(), ctx.data]

    job_id = await bull.add_buffer(Q, "content", "hi")
    async with app.worker(queues=[Q]):
        info = await until_in(app, job_id, State.COMPLETED)

    assert info.result == ["hi", {"content": {"type": "Buffer", "data": [104, 105]}}]


@pytest.mark.parametrize("queue", ["media-processing", "media-sync", "watermark", "notifications"])
async def test_jobs_as_programs_add_them_reach_a_task_whole(
    app: App, bull: Bull4, queue: str
) -> None:
    got: dict[str, Any] = {}

    @app.task(queue=queue, name=NAMELESS)
    async def work(ctx: Context, data: WholePayload[Any]) -> None:
        got[ctx.job_id] = data

    wanted: dict[str, Any] = {}
    for one in samples(queue):
        options = {**one["options"], "delay": 0}
        wanted[await bull.add(queue, one["name"], one["data"], **options)] = one["data"]
    async with app.worker(queues=[queue]):
        await until_completed(app, queue, len(wanted))

    assert got == wanted


async def test_doctor_says_what_bull_on_a_queue_means(app: App, bull: Bull4) -> None:
    await bull.worker(Q, {"waits": True})
    await bull.add(Q, NAMELESS, {"n": 1})

    found = await company(app)
    assert found.grade == "ok"
    assert found.text.startswith("used by Bull 4; Bull 4 wakes nobody")

    await app.queue(Q).add(NAMELESS, {"n": 2}, JobOptions(priority=1))
    found = await company(app)
    assert found.grade == "warning"
    assert found.text.startswith("used by Bull 4, Toril;")
    assert "jobs with a priority, which no worker here will take: 1." in found.text

    async with app.worker(queues=[Q]):
        found = await company(app)
        assert found.grade == "ok"


async def company(app: App) -> Finding:
    """Return what doctor says of those who use the queue."""
    findings = (await app.check()).findings
    (found,) = [one for one in findings if one.subject == f"company of {Q}"]
    assert not [one for one in findings if one.subject == f"queue {Q}"], "somebody serves it"
    return found


async def test_queue_that_only_bull_has_used_is_found(app: App, bull: Bull4) -> None:
    await bull.add(Q, NAMELESS, {"n": 1})

    (found,) = await app.queues(search=True)
    info = await app.queue(Q).info()

    assert (found.name, found.waiting) == (Q, 1)
    assert info is not None
    assert info.waiting == 1
