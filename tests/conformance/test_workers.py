"""The register of workers."""

from __future__ import annotations

import msgspec
import pytest
from tests.support.contract import HandWorker, Q, add_one

from toril.engine.contract import Backend
from toril.engine.contract.workers import (
    LOST_KEPT,
    Claiming,
    Heard,
    WorkerRecord,
    claiming_of,
)
from toril.testing.clock import ManualClock


def worker_record(worker_id: str = "w", started_ms: int = 1) -> WorkerRecord:
    """Return a worker that has just started."""
    return WorkerRecord(
        id=worker_id,
        host="höst",
        pid=42,
        queues=["a", "b c"],
        concurrency=10,
        running=0,
        started_ms=started_ms,
        beat_age_ms=0,
        quiet=False,
        resident_bytes=2**33,
        version="1.2.3",
    )


def beat(backend: Backend, worker_id: str) -> Heard:
    """Send a heartbeat; return what the worker hears."""
    return backend.workers.beat(
        worker_id, running=0, concurrency=10, claiming="open", resident_bytes=1
    )


async def test_registered_worker_is_listed_as_it_said(backend: Backend) -> None:
    await backend.workers.register(worker_record())

    assert await backend.workers.list() == [worker_record()]


async def test_workers_come_oldest_first(backend: Backend) -> None:
    for worker_id, started_ms in (("b", 2), ("a", 3), ("c", 1)):
        await backend.workers.register(worker_record(worker_id, started_ms))

    assert [found.id for found in await backend.workers.list()] == ["c", "b", "a"]


@pytest.mark.parametrize("claiming", ["open", "paused", "quiet"])
async def test_beat_renews_what_is_known(
    backend: Backend, clock: ManualClock, claiming: Claiming
) -> None:
    await backend.workers.register(worker_record())
    clock.advance(5)
    assert [found.beat_age_ms for found in await backend.workers.list()] == [5_000]

    known = backend.workers.beat(
        "w", running=7, concurrency=20, claiming=claiming, resident_bytes=9
    )

    assert known == (True, None, None)
    assert await backend.workers.list() == [
        msgspec.structs.replace(
            worker_record(),
            running=7,
            concurrency=20,
            quiet=claiming == "quiet",
            paused=claiming == "paused",
            resident_bytes=9,
        )
    ]
    await backend.workers.register((await backend.workers.list())[0])
    assert claiming_of((await backend.workers.list())[0]) == claiming


@pytest.mark.needs("stopwatch")
async def test_calendar_that_jumps_does_not_age_a_worker(
    backend: Backend, clock: ManualClock
) -> None:
    await backend.workers.register(worker_record())
    clock.jump_calendar(86_400)

    assert [found.beat_age_ms for found in await backend.workers.list()] == [0]


async def test_beat_of_an_unknown_worker_registers_none(backend: Backend) -> None:
    known = backend.workers.beat("w", running=7, concurrency=1, claiming="quiet", resident_bytes=9)

    assert known == (False, None, None)
    assert await backend.workers.list() == []


async def test_wish_is_heard_with_each_beat_until_there_is_another(backend: Backend) -> None:
    await backend.workers.register(worker_record("a"))
    await backend.workers.register(worker_record("b"))

    assert beat(backend, "a") == (True, None, None)
    assert await backend.workers.tell("a", "pause:ä 1")
    assert [beat(backend, "a"), beat(backend, "a"), beat(backend, "b")] == [
        (True, "pause:ä 1", None), (True, "pause:ä 1", None), (True, None, None),
    ]  # fmt: skip
    assert await backend.workers.tell("a", "resume:2")
    assert beat(backend, "a") == (True, "resume:2", None)
    assert await backend.workers.tell("a", "resize:7:3", about="size")
    assert beat(backend, "a") == (True, "resume:2", "resize:7:3")
    assert beat(backend, "b") == (True, None, None)
    assert await backend.workers.tell("a", "pause:4")
    assert beat(backend, "a") == (True, "pause:4", "resize:7:3")


async def test_wish_for_a_worker_that_is_not_there_is_left_for_nobody(backend: Backend) -> None:
    assert not await backend.workers.tell("gone", "stop")
    assert not await backend.workers.tell("gone", "resize:2:1", about="size")
    await backend.workers.register(worker_record("gone"))
    heard = beat(backend, "gone")
    assert heard == (True, None, None)

    assert await backend.workers.tell("gone", "stop")
    assert await backend.workers.tell("gone", "resize:2:1", about="size")
    await backend.workers.deregister("gone")
    assert not await backend.workers.tell("gone", "pause")
    await backend.workers.register(worker_record("gone"))
    assert beat(backend, "gone") == (True, None, None)

    await backend.workers.declare_dead("gone")
    assert not await backend.workers.tell("gone", "stop")


async def test_deregistered_worker_is_gone(backend: Backend) -> None:
    await backend.workers.register(worker_record("a"))
    await backend.workers.register(worker_record("b"))
    await backend.workers.deregister("a")
    await backend.workers.deregister("unknown")

    assert [found.id for found in await backend.workers.list()] == ["b"]


async def test_worker_that_registers_again_is_listed_once(backend: Backend) -> None:
    await backend.workers.register(worker_record(started_ms=1))
    await backend.workers.register(worker_record(started_ms=2))

    assert [found.started_ms for found in await backend.workers.list()] == [2]


async def test_dead_worker_is_listed_no_more(backend: Backend) -> None:
    await backend.workers.register(worker_record("a"))
    await backend.workers.register(worker_record("b"))
    await backend.workers.declare_dead("a")
    await backend.workers.declare_dead("unknown")

    assert [found.id for found in await backend.workers.list()] == ["b"]


async def test_sweep_forgets_workers_that_are_silent_and_hold_nothing(
    backend: Backend, clock: ManualClock
) -> None:
    await backend.workers.register(worker_record("silent"))
    clock.advance(30)
    await backend.workers.register(worker_record("lively"))
    clock.advance(46)  # on a server, a claim of the dead one may stand for a while
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=60, limit=10)

    assert [found.id for found in await backend.workers.list()] == ["lively"]


async def test_deregistered_worker_keeps_its_leases(backend: Backend, clock: ManualClock) -> None:
    worker = HandWorker(backend, "w")
    await backend.workers.register(worker_record("w"))
    await add_one(backend)
    claimed = await worker.claim_one()
    await backend.workers.deregister("w")

    assert (await backend.dispatch.recover(max_stalled=1, heartbeat_s=1, limit=10)).recovered == []
    assert await worker.end(claimed, "completed") == "ok"
    assert await worker.claim(Q) == []


@pytest.mark.parametrize(
    "tasks", [None, {}, {"a": [], "b c": ["send", "*"]}, {"a": ["höst", 'a "b"', "x" * 500] * 30}]
)
async def test_names_that_a_worker_can_run_are_listed(
    backend: Backend, tasks: dict[str, list[str]] | None
) -> None:
    await backend.workers.register(msgspec.structs.replace(worker_record(), tasks=tasks))
    backend.workers.beat("w", running=0, concurrency=1, claiming="open", resident_bytes=2**33)

    assert [found.tasks for found in await backend.workers.list()] == [tasks]


async def test_workers_of_ours_are_not_foreign(backend: Backend) -> None:
    await backend.workers.register(worker_record())

    assert await backend.workers.foreign("a") == 0


async def test_worker_that_was_found_dead_is_remembered(
    backend: Backend, clock: ManualClock
) -> None:
    """One that signs off is not."""
    for worker_id in ("killed", "left"):
        await backend.workers.register(worker_record(worker_id))
    seen_ms = clock.now_ms()
    await backend.workers.deregister("left")
    assert await backend.workers.lost() == []

    clock.advance(46)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=100)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=100)

    (lost,) = await backend.workers.lost()
    assert (lost.id, lost.host, lost.pid, lost.queues) == ("killed", "höst", 42, ["a", "b c"])
    assert abs(lost.seen_ms - seen_ms) < 1000


async def test_newest_lost_workers_are_remembered(backend: Backend, clock: ManualClock) -> None:
    for number in range(LOST_KEPT + 5):
        await backend.workers.register(worker_record(f"w{number}"))
        await backend.workers.declare_dead(f"w{number}")
        if number % 50 == 4:  # in a few steps, so that their order is known
            await backend.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=100)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=100)

    found = [one.id for one in await backend.workers.lost()]

    assert len(found) == LOST_KEPT
    assert set(found) == {f"w{number}" for number in range(5, LOST_KEPT + 5)}
    assert set(found[:50]) == {f"w{number}" for number in range(LOST_KEPT - 45, LOST_KEPT + 5)}
