"""A queue and its jobs in BullMQ's words, on both stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.waiting import wait_until

from toril import (
    App,
    Context,
    InvalidOptionError,
    JobFailedError,
    ResultTimeoutError,
    WrongStateError,
)
from toril.typed import BullQueue, Kept
from toril.typed.bull_queue import COUNTED


@pytest.fixture
def app(url: str) -> App:
    """An app whose task fails, hangs or returns, as its payload says."""
    app = App(url)

    @app.task(name="process", queue="files")
    async def process(context: Context, what: str) -> dict[str, str]:
        context.progress(50)
        if what == "bad":
            raise ValueError("there is no such file")
        return {"made": what}

    return app


async def ended(queue: BullQueue, *states: str) -> None:
    """Wait until nothing of a queue is left to do."""

    async def over() -> bool:
        counts = await queue.get_job_counts("waiting", "prioritized", "active", "delayed")
        return not any(counts.values())

    await wait_until(over, what="the queue to be done")


async def test_job_is_added_waited_for_and_read(app: App) -> None:
    async with app, app.worker():
        queue = BullQueue(app, "files")
        job = await queue.add("process", {"what": "a"}, attempts=1, remove_on_fail=Kept(age=60))
        result = await job.wait_until_finished(ttl=60_000)
        again = await queue.get_job(job.id)
        found = [
            await queue.get_completed(), await queue.get_active(), await queue.get_waiting(),
            await queue.get_delayed(), await queue.get_failed(),
        ]  # fmt: skip
        lists = [[one.id for one in each] for each in found]

    assert (job.name, job.data, job.progress) == ("process", {"what": "a"}, 0)
    assert (job.opts, job.timestamp, job.returnvalue) == ({}, None, None)
    assert (job.attempts_made, job.stacktrace, job.failed_reason) == (0, [], None)
    assert repr(job) == f"BullJob(id={job.id!r}, name='process')"
    assert result == {"made": "a"}
    assert again is not None
    assert (again.id, again.name, again.data) == (job.id, "process", {"what": "a"})
    assert again.opts["attempts"] == 1
    assert again.opts["removeOnFail"] == {"age": 60}
    assert again.progress == 50
    assert lists == [[job.id], [], [], [], []]
    assert (again.returnvalue, again.attempts_made, again.failed_reason) == ({"made": "a"}, 1, None)
    assert again.timestamp <= again.processed_on <= again.finished_on  # type: ignore[operator]
    assert again.stacktrace == []


async def test_failed_job_is_listed_tells_its_reason_and_is_retried(app: App) -> None:
    async with app, app.worker():
        queue = BullQueue(app, "files")
        job = await queue.add("process", {"what": "bad"}, attempts=1)
        with pytest.raises(JobFailedError, match="there is no such file"):
            await job.wait_until_finished(60_000)
        (failed,) = await queue.get_failed()
        state = await failed.get_state()
        await failed.retry()
        await ended(queue)
        after = await queue.get_job(job.id)

    assert failed.id == job.id
    assert state == "failed"
    assert "there is no such file" in str(failed.failed_reason)
    assert "ValueError" in str(failed.stacktrace[0])
    assert after is not None
    assert after.processed_on > failed.processed_on  # type: ignore[operator]


async def test_job_that_is_not_kept_is_waited_for_all_the_same(app: App) -> None:
    async with app, app.worker():
        queue = BullQueue(app, "files")
        jobs = await queue.add_bulk(
            [
                ("process", {"what": str(number)}, {"remove_on_complete": True})
                for number in range(20)
            ]
        )
        await ended(queue)
        states = {await job.get_state() for job in jobs}

    assert states == {"unknown"}


async def test_counts_are_of_every_state(app: App) -> None:
    async with app:
        queue = BullQueue(app, "files")
        nothing = await queue.get_job_counts()
        await queue.add("process", {"what": "a"})
        await queue.add("process", {"what": "a"}, priority=3)
        await queue.add_bulk(
            [("process", {"what": "a"}, {"delay": 60_000}), ("process", {"what": "b"})]
        )
        counts = await queue.get_job_counts()
        some = await queue.get_job_counts("delayed", "failed")

    assert nothing == dict.fromkeys(COUNTED, 0)
    assert counts == {**nothing, "waiting": 2, "prioritized": 1, "delayed": 1}
    assert some == {"delayed": 1, "failed": 0}


async def test_states_are_as_bullmq_says_them(app: App) -> None:
    async with app:
        queue = BullQueue(app, "files")
        jobs: list[Any] = [
            await queue.add("process", {"what": "a"}),
            await queue.add("process", {"what": "a"}, priority=1),
            await queue.add("process", {"what": "a"}, delay=60_000),
        ]
        states = [await job.get_state() for job in jobs]
        await jobs[2].promote()
        promoted = await jobs[2].get_state()
        removed = [await jobs[0].remove(), await jobs[0].remove()]
        gone = await jobs[0].get_state()
        none = await queue.get_job(jobs[0].id)
        with pytest.raises(WrongStateError):
            await jobs[1].retry()
        with pytest.raises(ResultTimeoutError):
            await jobs[1].wait_until_finished(ttl=1)

    assert states == ["waiting", "prioritized", "delayed"]
    assert promoted == "waiting"
    assert removed == [True, False]
    assert (gone, none) == ("unknown", None)


async def test_job_that_runs_is_listed(app: App) -> None:
    release = asyncio.Event()

    @app.task(name="hold", queue="files")
    async def hold() -> None:
        await release.wait()

    async with app, app.worker():
        queue = BullQueue(app, "files")
        job = await queue.add("hold", {})

        async def runs() -> bool:
            return await job.get_state() == "active"

        await wait_until(runs, what="the job to run")
        listed = [one.id for one in await queue.get_active()]
        counts = await queue.get_job_counts("active")
        release.set()
        await job.wait_until_finished(60_000)

    assert listed == [job.id]
    assert counts == {"active": 1}


async def test_lists_are_cut_by_first_and_last(app: App) -> None:
    async with app:
        queue = BullQueue(app, "files")
        names = [str(number) for number in range(5)]
        await queue.add_bulk(
            [("process", {"what": name}, {"job_id": f"j{name}"}) for name in names]
        )

        async def ids(start: int = 0, end: int = -1, asc: bool = True) -> list[str]:
            return [job.id for job in await queue.get_jobs("waiting", start, end, asc)]

        whole = [await ids(), await ids(0, -1, asc=False)]
        parts = [await ids(1, 2), await ids(3), await ids(4, 10), await ids(7, 9), await ids(2, 1)]
        waiting = [job.id for job in await queue.get_waiting(0, 0)]
        await queue.add("process", {"what": "a"}, delay=60_000, job_id="later")
        delayed = [job.id for job in await queue.get_delayed()]
        several = await queue.get_jobs(["delayed", "waiting"], 0, 1)

    assert whole == [["j0", "j1", "j2", "j3", "j4"], ["j4", "j3", "j2", "j1", "j0"]]
    assert parts == [["j1", "j2"], ["j3", "j4"], ["j4"], [], []]
    assert (waiting, delayed) == (["j0"], ["later"])
    assert [job.id for job in several] == ["later", "j4", "j3"]


async def test_list_of_more_than_a_page_is_whole(app: App) -> None:
    async with app:
        queue = BullQueue(app, "files")
        await queue.queue.add_many([("process", {"what": "a"})] * 1001)

        found = await queue.get_waiting()
        most = await queue.get_waiting(999, 1000)

    assert len({job.id for job in found}) == 1001
    assert [job.id for job in most] == [found[999].id, found[1000].id]


async def test_what_makes_no_sense_is_refused_by_name(app: App) -> None:
    async with app:
        queue = BullQueue(app, "files")
        with pytest.raises(InvalidOptionError, match="did you mean 'delay'"):
            await queue.add("process", {}, delya=1)  # type: ignore[call-arg]
        with pytest.raises(InvalidOptionError, match="state='done'"):
            await queue.get_job_counts("done")
        with pytest.raises(InvalidOptionError, match="start=-1"):
            await queue.get_failed(-1)
        with pytest.raises(InvalidOptionError, match="end=-2"):
            await queue.get_failed(0, -2)
        with pytest.raises(InvalidOptionError, match="state"):
            await queue.get_jobs("done")
        counts = await queue.get_job_counts()

    assert not any(counts.values())
    assert (repr(queue), queue.name) == ("BullQueue('files')", "files")
