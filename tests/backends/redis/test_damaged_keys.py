"""Nonsense under any key or field of a queue: its neighbours finish, whatever it costs the job."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
from tests.backends.redis.damaging import COMFORT, PAST_MS, Scene
from tests.support.contract import job
from tests.support.redis_servers import RedisServer

from toril.backends import open_backend
from toril.core.errors import TorilError
from toril.engine.contract import Backend, JobFilter, Level
from toril.engine.deduplication import DeduplicationRule
from toril.engine.states import FINISHED, State

SEEDS = range(
    int(os.environ.get("TORIL_FUZZ_FROM", "0")), int(os.environ.get("TORIL_FUZZ_TO", "60"))
)
ROUNDS = 30
"""Exchanges after which everything that can be worked has been."""


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[Backend]:
    """A store on the common server."""
    backend = open_backend(redis_url)
    yield backend
    await backend.lifecycle.close()


async def work_off(scene: Scene, chance: random.Random) -> None:
    """End what is held, in one exchange with all neighbours, and work until nothing is left."""
    worker, held = scene.worker, scene.held
    kinds: Sequence[str] = ("completed", "completed", "failed", "retried", "released", "snoozed")
    healthy = {job_id for _, job_id in scene.neighbours}
    for _ in range(ROUNDS):
        renewal = worker.renew(*held)
        assert not [hold for hold in renewal.lost if (hold.queue, hold.number) in scene.neighbours]
        outcomes = [
            scene.ended(one, "completed" if one.id in healthy else chance.choice(kinds))
            for one in held
        ]
        reply = await worker.ask(scene.queue, scene.beside, outcomes=outcomes, limit=10)
        assert reply.next_due_ms is None or 0 <= reply.next_due_ms < 2**53
        held = reply.claimed
        kinds = ("completed",)
        if not held:
            return
    raise AssertionError("a job comes back for ever")


async def look_around(scene: Scene) -> None:
    """Do all that operators and sweepers do."""
    backend, queue = scene.backend, scene.queue
    dispatch = backend.dispatch
    await dispatch.recover(max_stalled=1, heartbeat_s=20, limit=100)
    await dispatch.trim(limit=100)
    await backend.history.roll_up(limit=100)
    for level in Level:
        await backend.history.read(queue, level, since_ms=0, until_ms=2**50)
    await backend.counts.queues()
    for state in State:
        for newest in (True, False):
            await backend.jobs.page(
                JobFilter(queue=queue, states=(state,), limit=50, newest_first=newest)
            )
    for job_id in ("1", "5", "6", "P0"):
        await backend.jobs.get(queue, job_id)
    await backend.moving.logs(queue, ["1", "4", "5", "6", "7"])
    await backend.moving.held_ids(queue, ["1", "4", "5", "6", "7"])


async def use_every_verb(scene: Scene) -> None:
    """Call all verbs for one job and for many; one job may be refused, never with a traceback."""
    backend, queue = scene.backend, scene.queue
    jobs = backend.jobs
    for job_id in ("1", "2", "3", "4", "5", "6", "7", "9", "10", "P0", "P1"):
        for verb in (
            jobs.get(queue, job_id),
            jobs.update_data(queue, job_id, data="{}"),
            jobs.change_priority(queue, job_id, priority=2, lifo=True),
            jobs.change_delay(queue, job_id, delay_ms=1),
            jobs.promote(queue, job_id),
            backend.logs.add(queue, job_id, "line", keep=2),
            backend.logs.read(queue, job_id, start=0, limit=5),
            jobs.retry(queue, job_id, reset_attempts=True),
            jobs.cancel(queue, job_id, reason="no"),
            jobs.remove(queue, job_id),
        ):
            with suppress(TorilError):
                await verb
    rule = DeduplicationRule(id="one", extend=True, ttl_ms=1000)
    await jobs.add([job(queue, deduplication=rule), job(queue), job(scene.beside)])
    await backend.deduplication.holder(queue, "one")
    await backend.deduplication.release(queue, "one")
    await backend.counts.by_priority(queue, [0, 3])
    for state in (State.COMPLETED, State.FAILED):
        await backend.bulk.retry(
            queue, state, limit=50, finished_until_ms=2**52, reset_attempts=False
        )
    await backend.bulk.promote(queue, limit=50)
    await look_around(scene)
    await backend.bulk.drain(queue, delayed=True, limit=100)
    for state in (*FINISHED, State.WAIT, State.DELAYED, State.PRIORITIZED):
        await backend.bulk.clean(queue, state, older_than_ms=-PAST_MS, limit=100)


async def obliterate(scene: Scene) -> None:
    await scene.backend.limits.pause(scene.queue)
    while await scene.backend.bulk.obliterate(scene.queue, force=True, limit=50):
        pass
    rest = [key for key in scene.server.keys(scene.prefix) if key.startswith(scene.key("meta"))]
    assert not rest


async def states(scene: Scene) -> dict[tuple[str, str], object]:
    found: dict[tuple[str, str], object] = {}
    for queue, job_id in scene.neighbours:
        record = await scene.backend.jobs.get(queue, job_id)
        found[queue, job_id] = record and record.state
    return found


async def assert_neighbours_finished(scene: Scene) -> None:
    found = await states(scene)
    assert set(found.values()) == {State.COMPLETED}, f"{found} {scene.log}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_neighbours_of_a_damaged_job_finish(
    backend: Backend, redis_server: RedisServer, redis_prefix: str, seed: int
) -> None:
    """A field `parent` that was no JSON made ten finished jobs vanish; the script then stopped."""
    chance = random.Random(seed)
    scene = Scene(backend, redis_server, redis_prefix, f"q{seed}")
    await scene.fill()
    await scene.add_neighbours()
    for _ in range(chance.randint(1, 3)):
        scene.damage(chance)
    try:
        if chance.random() < 0.5:
            await look_around(scene)
        await work_off(scene, chance)
        await look_around(scene)
    except BaseException as error:
        error.add_note(f"seed {seed}: {scene.log}")
        raise

    await assert_neighbours_finished(scene)
    try:
        await use_every_verb(scene)
        await obliterate(scene)
    except BaseException as error:
        error.add_note(f"seed {seed}: {scene.log}")
        raise


@pytest.mark.parametrize("seed", SEEDS)
async def test_queue_beside_a_damaged_queue_goes_on(
    backend: Backend, redis_server: RedisServer, redis_prefix: str, seed: int
) -> None:
    chance = random.Random(seed)
    scene = Scene(backend, redis_server, redis_prefix, f"q{seed}")
    await scene.fill()
    damaged = chance.choice([*COMFORT, "wait", "active"])
    if damaged not in ("wait", "active"):
        await scene.add_neighbours()
    scene.damage(chance, own_key=damaged)
    try:
        await work_off(scene, chance)
        await look_around(scene)
    except BaseException as error:
        error.add_note(f"seed {seed}: {scene.log}")
        raise

    found = await states(scene)
    if damaged == "completed":  # it has ended, but the set that should list it is none
        del found[scene.neighbours[-1]]
    assert set(found.values()) == {State.COMPLETED}, f"{found} {scene.log}"


@pytest.mark.parametrize("seed", SEEDS)
async def test_doctor_mends_a_damaged_queue(
    backend: Backend, redis_server: RedisServer, redis_prefix: str, seed: int
) -> None:
    """What was restored went in line with the poison that had stopped the script."""
    chance = random.Random(seed)
    scene = Scene(backend, redis_server, redis_prefix, f"q{seed}")
    await scene.fill()
    await scene.add_neighbours()
    damaged = chance.choice([*COMFORT, "wait", "active"])
    scene.damage(chance, own_key=damaged)
    scene.damage(chance)
    try:
        for _ in range(2):
            health = await backend.lifecycle.check()
            await backend.lifecycle.repair(health.repairs, max_stalled=1)
        again = await backend.lifecycle.check()
        await work_off(scene, chance)
        await assert_neighbours_finished(scene)
        await use_every_verb(scene)
    except BaseException as error:
        error.add_note(f"seed {seed}: {scene.log}")
        raise

    assert not [one for one in again.findings if one.subject.startswith("key ")], scene.log
    assert not [one for one in again.repairs if one.act == "set_aside"], scene.log
