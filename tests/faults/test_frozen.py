"""SIGSTOP: a worker that stood still for too long comes back to find its jobs done by others."""

from __future__ import annotations

import signal
import time

import apsw
from tests.faults.support import FULL, Program, Say, Stage
from tests.support.waiting import wait_until

from toril.engine.leases import BEAT_S
from toril.engine.sweeper import HEARTBEAT_S

LEASE_S = 1.0


async def test_frozen_worker_loses_its_jobs_to_another_and_its_late_outcomes_are_dropped(
    stage: Stage, say: Say
) -> None:
    gate = stage.folder / "gate"
    options = {"queues": ["held", "thread"], "lease": LEASE_S, "sweep": 0.2, "max_stalled": 5}
    frozen = stage.worker(**options)
    worker_id = await frozen.ready()
    tasks = ["hold_until", "hold_until", "hold_until_in_thread", "hold_until_in_thread"]
    held = [await stage.add("held", task, path=str(gate)) for task in tasks]
    keys = await stage.add_marking({"thread": 4}, 0.0)
    await stage.until_done(len(keys))
    await stage.until_active(len(held))

    await freeze(stage, frozen)
    frozen_s = time.monotonic()
    other = stage.worker(**options)
    await other.ready()
    gate.touch()
    assert {await job.result(timeout_s=60) for job in held} == {other.process.pid}
    taken_off = await struck_off(stage, worker_id) if FULL else False
    frozen.send(signal.SIGCONT)
    frozen_s = time.monotonic() - frozen_s

    late = {job.id for job in held}
    await wait_until(lambda: set(frozen.told("lease_lost")) == late, what="the late outcomes")
    await stage.add("held", "hold_until", path=str(gate))
    await stage.until_done(len(keys) + len(held) + 1)
    completed = await stage.told("completed", ["held", "thread"])
    assert set(completed.values()) == {1}
    assert not await stage.told("failed", ["held", "thread"])
    await wait_until(
        lambda: is_listed(stage, worker_id),
        deadline_s=3 * BEAT_S,
        what="the worker to be on the register again",
    )
    await stage.check_store()
    say(
        f"stood still for {frozen_s:.1f} s{' and was taken off the register' * taken_off}: 4 jobs"
        f" done by another, each completed once, 4 late outcomes dropped, and it works on"
    )


async def freeze(stage: Stage, worker: Program) -> None:
    """Stop a process at a moment at which it does not hold the file's lock."""

    async def stopped_outside_a_transaction() -> bool:
        worker.send(signal.SIGSTOP)
        connection = apsw.Connection(str(stage.store))
        connection.set_busy_timeout(500)
        try:
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.BusyError:
            worker.send(signal.SIGCONT)
            return False
        finally:
            connection.close()
        return True

    await wait_until(stopped_outside_a_transaction, what="a moment outside a transaction")


async def is_listed(stage: Stage, worker_id: str) -> bool:
    return worker_id in [worker.id for worker in await stage.app.workers()]


async def struck_off(stage: Stage, worker_id: str) -> bool:
    async def gone() -> bool:
        return not await is_listed(stage, worker_id)

    await wait_until(gone, deadline_s=3 * HEARTBEAT_S, what="the worker to be taken for dead")
    return True
