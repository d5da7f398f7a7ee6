"""Opening, closing, looking after and mending a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, counts, job, line, record, told

from toril.backends import open_backend
from toril.core.errors import BackendClosedError
from toril.engine.contract import Backend, Repair
from toril.engine.contract.dispatch import AttemptMessage
from toril.engine.letters import letter_id
from toril.engine.states import State
from toril.testing.clock import ManualClock

SOON_S = 10.0
TAKE_BACK = Repair(Q, "take_back", ["1"])


async def test_closing_twice_and_at_once_is_fine(open_another: Callable[[], Backend]) -> None:
    backend = open_another()
    await add_one(backend)

    await asyncio.gather(backend.lifecycle.close(), backend.lifecycle.close())
    await backend.lifecycle.close()


async def test_closing_an_unused_store_is_fine(open_another: Callable[[], Backend]) -> None:
    await open_another().lifecycle.close()


CALLS: dict[str, Callable[[Backend], Awaitable[object]]] = {
    "add": lambda backend: backend.jobs.add([job()]),
    "add_many": lambda backend: backend.jobs.add([job(), job()]),
    "get": lambda backend: backend.jobs.get(Q, "1"),
    "exchange": lambda backend: HandWorker(backend).ask(Q),
    "speak": lambda backend: backend.dispatch.speak([AttemptMessage(Q, 1, "1", "t", line="x")]),
    "recover": lambda backend: backend.dispatch.recover(max_stalled=1, heartbeat_s=1, limit=1),
    "pause": lambda backend: backend.limits.pause(Q),
    "queues": lambda backend: backend.counts.queues(),
    "read": lambda backend: backend.events.read(Q, after=0, limit=1, wait_s=5),
    "list": lambda backend: backend.workers.list(),
    "check": lambda backend: backend.lifecycle.check(),
    "repair": lambda backend: backend.lifecycle.repair([TAKE_BACK], max_stalled=1),
    "renew": lambda backend: asyncio.to_thread(backend.dispatch.renew, "w", []),
    "beat": lambda backend: asyncio.to_thread(
        backend.workers.beat, "w", running=1, concurrency=1, claiming="open", resident_bytes=1
    ),
}


@pytest.mark.parametrize("call", CALLS)
async def test_calls_after_the_close_are_refused(
    open_another: Callable[[], Backend], call: str
) -> None:
    backend = open_another()
    await backend.lifecycle.close()

    with pytest.raises(BackendClosedError, match="closed"):
        await asyncio.wait_for(CALLS[call](backend), SOON_S)


async def test_those_who_sleep_are_woken_by_the_close(open_another: Callable[[], Backend]) -> None:
    """The watcher could miss the end, and the close then waited for it for ever."""
    for _ in range(20):
        backend = open_another()
        seen = (await HandWorker(backend).ask(Q)).seen

        async def sleep(backend: Backend = backend, seen: int = seen) -> None:
            await backend.dispatch.wait([Q], seen, timeout_s=60)

        async def read(backend: Backend = backend) -> None:
            with pytest.raises(BackendClosedError):
                await backend.events.read(Q, after=0, limit=1, wait_s=60)

        tasks = [asyncio.create_task(sleep()) for _ in range(3)] + [asyncio.create_task(read())]
        for _ in range(5):
            await asyncio.sleep(0.001)
        await asyncio.wait_for(backend.lifecycle.close(), SOON_S)
        await asyncio.wait_for(asyncio.gather(*tasks), SOON_S)


async def test_what_was_begun_before_the_close_gets_an_answer(
    open_another: Callable[[], Backend],
) -> None:
    """Work that was put behind the mark that ends the writer waited for ever."""
    for number in range(20):
        backend = open_another()

        async def produce(backend: Backend = backend) -> int:
            done = 0
            try:
                while True:
                    await backend.jobs.add([job(), job()])
                    done += 1
            except BackendClosedError:
                return done

        def renew(backend: Backend = backend) -> None:
            try:
                while True:
                    backend.dispatch.renew("w", [])
            except BackendClosedError:
                return

        producers = [asyncio.create_task(produce()) for _ in range(4)]
        thread = asyncio.create_task(asyncio.to_thread(renew))
        for _ in range(number % 5):
            await asyncio.sleep(0.001)
        await asyncio.wait_for(backend.lifecycle.close(), SOON_S)
        await asyncio.wait_for(asyncio.gather(thread, *producers), SOON_S)


async def test_check_finds_nothing_wrong_with_a_store_in_order(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    await worker.end(await worker.claim_one(), "completed")

    health = await backend.lifecycle.check()

    assert health.ok
    assert all(finding.text for finding in health.findings)
    assert health.repairs == []
    assert await backend.lifecycle.repair(health.repairs, max_stalled=1) == []


async def test_check_warns_of_jobs_that_no_worker_serves(backend: Backend) -> None:
    await add_one(backend, "lonely")

    health = await backend.lifecycle.check()

    assert health.ok
    assert any(
        finding.grade == "warning" and "lonely" in finding.subject for finding in health.findings
    )


@pytest.mark.parametrize("priority", [0, 5])
async def test_check_says_nothing_of_letters_that_no_worker_serves(
    backend: Backend, priority: int
) -> None:
    """It asked for workers of dead-letter queues, whose jobs nobody is meant to run."""
    letter = letter_id("mail", "7", 1_700_000_000_000)
    await add_one(backend, "mail.dead", job_id=letter, priority=priority)

    health = await backend.lifecycle.check()

    assert not [finding for finding in health.findings if "mail.dead" in finding.subject]


async def test_check_says_nothing_of_a_paused_queue_that_no_worker_serves(
    backend: Backend,
) -> None:
    await add_one(backend, "quiet")
    await backend.limits.pause("quiet")

    health = await backend.lifecycle.check()

    assert not [finding for finding in health.findings if "quiet" in finding.subject]


async def test_check_warns_of_leases_that_have_ended(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.claim()
    clock.advance(31)

    grades = {
        finding.subject: finding.grade for finding in (await backend.lifecycle.check()).findings
    }

    assert grades["leases"] == "warning"


async def test_look_plans_and_changes_nothing(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    first_id, second_id, other_id = await add(backend, job(), job(), job("other"))
    for queue in (Q, Q, "other"):
        await worker.claim_one(queue)
    clock.advance(31)
    events = await told(backend)

    first = await backend.lifecycle.check()
    again = await backend.lifecycle.check()

    assert first.repairs == again.repairs
    assert [(one.queue, one.act, sorted(one.job_ids)) for one in first.repairs] == [
        ("other", "take_back", [other_id]),
        (Q, "take_back", [first_id, second_id]),
    ]
    assert first.repairs[1].text.startswith(f"{Q}: put back in line 2 jobs whose lease has ended (")
    assert await told(backend) == events
    assert await counts(backend) == {State.ACTIVE: 2}


async def test_repair_takes_back_whose_lease_has_ended(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    lapsed, waiting = await add(backend, job(priority=2), job(priority=2))
    claimed = await worker.claim_one()
    clock.advance(31)
    plan = (await backend.lifecycle.check()).repairs

    done = await backend.lifecycle.repair(plan, max_stalled=1)

    assert done == plan == [Repair(Q, "take_back", [lapsed])]
    assert await line(backend, State.PRIORITIZED) == [lapsed, waiting]
    assert [attempt.outcome for attempt in (await record(backend, lapsed)).history] == ["stalled"]
    assert [name for name, _ in (await told(backend))[-2:]] == ["waiting", "stalled"]
    assert await worker.end(claimed, "completed") == "lease_lost"
    health = await backend.lifecycle.check()
    assert health.repairs == []
    assert {one.grade for one in health.findings if one.subject == "leases"} == {"ok"}
    assert await backend.lifecycle.repair(plan, max_stalled=1) == []


async def test_repair_leaves_other_queues_alone(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, job(), job("other"))
    await worker.claim(Q, "other", limit=1)
    clock.advance(31)

    await backend.lifecycle.repair([TAKE_BACK], max_stalled=1)

    assert await counts(backend) == {State.WAIT: 1}
    assert await counts(backend, "other") == {State.ACTIVE: 1}


@pytest.mark.needs("stopwatch")
async def test_lease_from_before_the_host_was_restarted_has_ended(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.claim_one()
    clock.restart_host()

    (done,) = await backend.lifecycle.repair([TAKE_BACK], max_stalled=1)

    assert done == TAKE_BACK


async def test_repair_leaves_what_is_held(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, job(), job())
    renewed, lapsed = await worker.claim(limit=2)
    clock.advance(31)
    plan = (await backend.lifecycle.check()).repairs
    worker.renew(renewed)
    await backend.workers.declare_dead(worker.id)

    done = await backend.lifecycle.repair(plan, max_stalled=1)

    assert [one.job_ids for one in done] == [[lapsed.id]]
    assert await line(backend, State.ACTIVE) == [renewed.id]
    assert await worker.end(renewed, "completed") == "ok"


async def test_job_that_is_taken_back_too_often_fails_without_another_run(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend)
    await worker.claim_one()
    clock.advance(31)

    await backend.lifecycle.repair([TAKE_BACK], max_stalled=0)

    assert (await worker.claim_one()).deferred_failure == "job stalled more than allowable limit"


async def test_many_are_taken_back_in_several_steps(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = await add(backend, *(job() for _ in range(1200)))
    await worker.claim(limit=1200)
    clock.advance(31)

    (done,) = await backend.lifecycle.repair([TAKE_BACK], max_stalled=1)

    assert sorted(done.job_ids) == sorted(ids)
    assert await counts(backend) == {State.WAIT: 1200}
    assert (await line(backend, State.WAIT))[:3] == ids[:3]


@pytest.mark.needs("shared_processes")
async def test_everything_is_there_after_opening_again(
    backend: Backend, worker: HandWorker, open_another: Callable[[], Backend]
) -> None:
    first = open_another()
    ids = await add(first, job(), job(priority=3), job(delay_ms=60_000), job(job_id="own"))
    claimed = await HandWorker(first).claim_one()
    await first.limits.pause(Q)
    latest = await first.events.latest(Q)
    await first.lifecycle.close()

    second = open_another()
    assert await counts(second) == {
        State.WAIT: 1, State.PRIORITIZED: 1, State.DELAYED: 1, State.ACTIVE: 1,
    }  # fmt: skip
    assert await line(second, State.DELAYED) == [ids[2]]
    assert await second.events.latest(Q) == latest
    queue = await second.counts.queue(Q)
    assert queue is not None
    assert queue.paused
    assert await HandWorker(second).end(claimed, "completed") == "ok"
    assert int(await add_one(second)) > int(ids[2])


async def test_store_is_known_by_a_name_of_its_own(backend: Backend, tmp_path: Path) -> None:
    other = open_backend(f"sqlite:///{tmp_path}/other.db")
    third = open_backend("sqlite://:memory:")

    names = [await each.lifecycle.identity() for each in (backend, other, third, backend)]

    await other.lifecycle.close()
    await third.lifecycle.close()
    assert names[0] == names[3]
    assert len(set(names)) == 3


@pytest.mark.needs("shared_processes")
async def test_store_has_the_same_name_by_any_way_to_it(
    backend: Backend, url: str, tmp_path: Path
) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "toril.db")
    way = url.replace("127.0.0.1", "localhost").replace("toril.db", "link.db")
    assert way != url

    again = open_backend(way)
    names = {await each.lifecycle.identity() for each in (backend, again)}

    await again.lifecycle.close()
    assert len(names) == 1
