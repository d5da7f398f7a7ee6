"""Whatever lies in a store can be listed, shown and removed, and harms no neighbour."""

from __future__ import annotations

from tests.support.contract import HandWorker, Q, add, add_one, job, record, records, state
from tests.support.poison import DEEP, OPTIONS, poisonous

from toril.engine.contract import Backend
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.states import State


async def test_poisonous_jobs_are_listed_and_shown_and_removed(backend: Backend) -> None:
    """A moment beyond the year 9999, or JSON too deep, spoiled each page that had the job."""
    good = await add_one(backend, data='{"n":1}')
    bad = await add(backend, *poisonous(Q))

    shown = {
        info.id: info
        for where in State
        for info in map(JobInfo.from_record, await records(backend, where, page_size=3))
    }
    assert shown.keys() == {good, *bad}
    assert shown[good].data == {"n": 1}
    for job_id in bad:
        assert JobInfo.from_record(await record(backend, job_id)).id == job_id
        await backend.jobs.remove(Q, job_id)
    assert [found.id for found in await records(backend, State.WAIT)] == [good]
    assert [QueueInfo.from_record(found).delayed for found in await backend.counts.queues()] == [0]


async def test_far_moments_keep_their_order(backend: Backend) -> None:
    later = await add_one(backend, run_at_ms=2**52)
    sooner = await add_one(backend, run_at_ms=253_402_300_800_000)

    assert [found.id for found in await records(backend, State.DELAYED)] == [sooner, later]


async def test_job_with_poisonous_options_is_claimed_and_finished(
    backend: Backend, worker: HandWorker
) -> None:
    for options in OPTIONS.values():
        job_id = await add_one(backend, opts=options)
        claimed = await worker.claim_one()
        assert claimed.opts == options

        assert await worker.end(claimed, "failed", reason="x") == "ok"
        assert await state(backend, job_id) is State.FAILED


async def test_payload_and_result_that_are_too_deep_to_read_come_back_as_they_are(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(data=DEEP))

    claimed = await worker.claim_one()

    assert claimed.data == DEEP
    assert await worker.end(claimed, "completed", value=DEEP) == "ok"
    assert (await record(backend, claimed.id)).result == DEEP
