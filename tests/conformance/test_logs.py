"""Log lines, written from outside an attempt and beside one."""

from __future__ import annotations

import pytest
from tests.support.contract import REACHED, HandWorker, Q, add_one, bring, speech

from toril.core.errors import JobNotFoundError
from toril.engine.contract import Backend
from toril.engine.states import State


@pytest.mark.parametrize("queue_exists", [False, True])
async def test_log_of_a_job_that_does_not_exist_is_refused(
    backend: Backend, queue_exists: bool
) -> None:
    if queue_exists:
        await add_one(backend)

    for act in (
        backend.logs.read(Q, "gone", start=0, limit=1),
        backend.logs.add(Q, "gone", "line", keep=1),
    ):
        with pytest.raises(JobNotFoundError, match="'gone'") as caught:
            await act
        assert (caught.value.job_id, caught.value.queue) == ("gone", Q)


@pytest.mark.parametrize("where", REACHED)
async def test_log_is_read_and_written_in_every_state(
    backend: Backend, worker: HandWorker, where: State
) -> None:
    job_id = await bring(backend, worker, where)

    assert await backend.logs.add(Q, job_id, "line", keep=1) == 1
    assert await backend.logs.read(Q, job_id, start=0, limit=1) == (["line"], 1)


async def test_log_of_a_removed_job_is_not_its_successors(backend: Backend) -> None:
    await add_one(backend, job_id="x")
    await backend.logs.add(Q, "x", "old", keep=5)
    await backend.jobs.remove(Q, "x")
    await add_one(backend, job_id="x")

    assert await backend.logs.read(Q, "x", start=0, limit=5) == ([], 0)


async def test_log_lines_are_read_in_pages(backend: Backend) -> None:
    job_id = await add_one(backend)
    for number in range(7):
        assert await backend.logs.add(Q, job_id, f"line {number}", keep=100) == number + 1

    assert await backend.logs.read(Q, job_id, start=0, limit=3) == (
        ["line 0", "line 1", "line 2"], 7,
    )  # fmt: skip
    assert await backend.logs.read(Q, job_id, start=5, limit=3) == (["line 5", "line 6"], 7)
    assert await backend.logs.read(Q, job_id, start=7, limit=3) == ([], 7)
    assert await backend.logs.read(Q, job_id, start=0, limit=0) == ([], 7)


async def test_log_lines_are_read_in_pages_from_the_newest(backend: Backend) -> None:
    job_id = await add_one(backend)
    for number in range(7):
        await backend.logs.add(Q, job_id, str(number), keep=100)

    async def page(start: int, limit: int) -> tuple[list[str], int]:
        return await backend.logs.read(Q, job_id, start=start, limit=limit, newest_first=True)

    assert await page(0, 3) == (["6", "5", "4"], 7)
    assert await page(3, 3) == (["3", "2", "1"], 7)
    assert await page(6, 3) == (["0"], 7)
    assert await page(7, 3) == ([], 7)
    assert await page(2, 0) == ([], 7)
    assert await page(0, 10**9) == ([str(number) for number in reversed(range(7))], 7)


async def test_log_keeps_its_newest_lines(backend: Backend) -> None:
    job_id = await add_one(backend)
    kept = [await backend.logs.add(Q, job_id, str(number), keep=3) for number in range(5)]

    assert kept == [1, 2, 3, 3, 3]
    assert await backend.logs.read(Q, job_id, start=0, limit=9) == (["2", "3", "4"], 3)
    assert await backend.logs.add(Q, job_id, "5", keep=1) == 1
    assert await backend.logs.read(Q, job_id, start=0, limit=9) == (["5"], 1)
    assert await backend.logs.add(Q, job_id, "6", keep=0) == 0
    assert await backend.logs.read(Q, job_id, start=0, limit=9) == ([], 0)


async def test_lines_from_within_and_from_outside_share_one_log(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    await backend.logs.add(Q, job_id, "before", keep=9)
    claimed = await worker.claim_one()
    await backend.dispatch.speak([speech(claimed, line="within")])
    await backend.logs.add(Q, job_id, "beside", keep=9)

    assert (await backend.logs.read(Q, job_id, start=0, limit=9))[0] == [
        "before", "within", "beside",
    ]  # fmt: skip
