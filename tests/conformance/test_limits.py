"""What holds a queue back: pause, concurrency, rate, hold."""

from __future__ import annotations

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, counts, job, line, outcome, told

from toril.engine.contract import Backend
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def fill(backend: Backend, many: int = 10, queue: str = Q) -> list[str]:
    """Add plain jobs."""
    return await add(backend, *(job(queue) for _ in range(many)))


async def test_paused_queue_yields_nothing_and_others_go_on(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job("a"), job("b"))
    await backend.limits.pause("a")

    assert [one.queue for one in await worker.claim("a", "b")] == ["b"]
    queue = await backend.counts.queue("a")
    assert queue is not None
    assert queue.paused


async def test_running_jobs_of_a_paused_queue_go_on(backend: Backend, worker: HandWorker) -> None:
    await add_one(backend)
    claimed = await worker.claim_one()
    await backend.limits.pause(Q)

    assert worker.renew(claimed).lost == []
    assert await worker.end(claimed, "completed") == "ok"


async def test_resumed_queue_goes_on_where_it_stopped(backend: Backend, worker: HandWorker) -> None:
    ids = await fill(backend, 3)
    await backend.limits.pause(Q)
    ids += await fill(backend, 2)
    await backend.limits.resume(Q)

    assert [one.id for one in await worker.claim(limit=10)] == ids


async def test_pause_and_resume_are_told_each_time(backend: Backend) -> None:
    await backend.limits.pause(Q)
    await backend.limits.pause(Q)
    await backend.limits.resume(Q)

    assert await told(backend) == [("paused", {}), ("paused", {}), ("resumed", {})]


async def test_a_queue_can_be_paused_before_its_first_job(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.limits.pause(Q)
    await add_one(backend)

    assert await worker.claim() == []


async def test_paused_queue_tells_no_next_moment(backend: Backend, worker: HandWorker) -> None:
    await add(backend, job(), job(delay_ms=1_000))
    await backend.limits.pause(Q)

    assert (await worker.ask(Q)).next_due_ms is None


async def test_global_concurrency_holds_over_all_workers(backend: Backend) -> None:
    await backend.limits.set_concurrency(Q, 3)
    await fill(backend)
    a, b = HandWorker(backend, "a"), HandWorker(backend, "b")

    first = await a.claim(limit=2)
    second = await b.claim(limit=2)
    assert (len(first), len(second)) == (2, 1)
    assert await a.claim() == []

    await b.end(second[0], "completed")
    assert len(await a.claim(limit=2)) == 1


async def test_place_freed_in_an_exchange_is_taken_in_it(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.limits.set_concurrency(Q, 1)
    await fill(backend)
    claimed = await worker.claim_one()

    reply = await worker.ask(Q, outcomes=[outcome(claimed, "completed")], limit=5)

    assert len(reply.claimed) == 1


async def test_global_concurrency_can_be_changed_and_lifted(
    backend: Backend, worker: HandWorker
) -> None:
    await fill(backend)
    await backend.limits.set_concurrency(Q, 1)
    assert len(await worker.claim(limit=5)) == 1
    await backend.limits.set_concurrency(Q, 3)
    assert len(await worker.claim(limit=5)) == 2
    await backend.limits.set_concurrency(Q, 2)
    assert await worker.claim(limit=5) == []
    await backend.limits.set_concurrency(Q, None)
    assert len(await worker.claim(limit=5)) == 5


async def test_recovered_jobs_free_their_places(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.limits.set_concurrency(Q, 1)
    await fill(backend)
    await worker.claim()
    clock.advance(31)
    await backend.dispatch.recover(max_stalled=1, heartbeat_s=60, limit=10)

    assert len(await worker.claim(limit=5)) == 1


async def test_rate_limit_of_the_queue_holds_over_all_workers(
    backend: Backend, clock: ManualClock
) -> None:
    await backend.limits.set_rate(Q, 3, 1_000)
    await fill(backend)
    a, b = HandWorker(backend, "a"), HandWorker(backend, "b")

    assert len(await a.claim(limit=2)) == 2
    clock.advance(0.4)
    reply = await b.ask(Q, limit=5)
    assert (len(reply.claimed), reply.next_due_ms) == (1, 600)
    reply = await a.ask(Q, limit=5)
    assert (len(reply.claimed), reply.next_due_ms) == (0, 600)

    clock.advance(0.599)
    assert (await a.ask(Q, limit=5)).next_due_ms == 1
    clock.advance(0.001)
    assert len(await a.claim(limit=5)) == 3


async def test_rate_window_begins_with_its_first_start(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.limits.set_rate(Q, 1, 1_000)
    clock.advance(50)
    await fill(backend)

    assert len(await worker.claim()) == 1
    assert (await worker.ask(Q)).next_due_ms == 1_000


async def test_rate_limit_of_a_worker_holds(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)

    reply = await worker.ask(Q, limit=5, rate=(2, 5_000))
    assert (len(reply.claimed), reply.next_due_ms) == (2, 5_000)
    assert await worker.claim(limit=5, rate=(2, 5_000)) == []
    clock.advance(5)
    assert len(await worker.claim(limit=5, rate=(2, 5_000))) == 2


async def test_worker_without_a_limit_takes_on_in_another_workers_window(
    backend: Backend, worker: HandWorker
) -> None:
    await fill(backend)
    await worker.claim(limit=5, rate=(2, 5_000))

    assert len(await HandWorker(backend, "free").claim(limit=5)) == 5


async def test_of_both_limits_the_queues_count_and_the_workers_window_hold(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.limits.set_rate(Q, 1, 1_000)
    await fill(backend)

    reply = await worker.ask(Q, limit=5, rate=(2, 5_000))
    assert (len(reply.claimed), reply.next_due_ms) == (1, 5_000)
    clock.advance(1)
    assert await worker.claim(limit=5, rate=(2, 5_000)) == []
    clock.advance(4)
    assert len(await worker.claim(limit=5, rate=(2, 5_000))) == 1


async def test_lifted_rate_limit_lets_all_through(backend: Backend, worker: HandWorker) -> None:
    await backend.limits.set_rate(Q, 1, 60_000)
    await fill(backend)
    await worker.claim(limit=5)
    await backend.limits.set_rate(Q, None, 60_000)

    assert len(await worker.claim(limit=5)) == 5


async def test_limited_queue_does_not_hold_the_others_back(
    backend: Backend, worker: HandWorker
) -> None:
    await backend.limits.set_rate("a", 1, 1_000)
    await fill(backend, 5, "a")
    await fill(backend, 5, "b")

    reply = await worker.ask("a", "b", limit=3)

    assert [one.queue for one in reply.claimed] == ["a", "b", "b", "b"]
    assert reply.next_due_ms == 1_000


@pytest.mark.needs("stopwatch")
async def test_calendar_that_jumps_does_not_touch_the_window(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.limits.set_rate(Q, 1, 1_000)
    await fill(backend)
    await worker.claim()
    clock.jump_calendar(3_600)
    assert (await worker.ask(Q)).next_due_ms == 1_000
    clock.jump_calendar(-7_200)
    assert (await worker.ask(Q)).next_due_ms == 1_000
    clock.advance(1)
    assert len(await worker.claim()) == 1


@pytest.mark.needs("stopwatch")
@pytest.mark.parametrize("uptime_s", [0, 60])
async def test_restart_of_the_host_ends_windows_and_holds(
    backend: Backend, worker: HandWorker, clock: ManualClock, uptime_s: float
) -> None:
    """Their ends lay in the old clock's future: the queue stood still for days."""
    clock.advance(10 * 86_400)
    await backend.limits.set_rate("a", 1, 1_000)
    await fill(backend, 3, "a")
    await fill(backend, 3, "b")
    await worker.claim("a")
    await backend.limits.hold("b", duration_ms=1_000)

    clock.restart_host(uptime_s=uptime_s)

    assert len(await worker.claim("a", "b")) == 2


async def test_job_that_fails_without_a_run_counts_as_no_start(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend, 3)
    await worker.claim()
    clock.advance(31)
    await backend.dispatch.recover(max_stalled=0, heartbeat_s=60, limit=10)
    await backend.limits.set_rate(Q, 1, 1_000)

    first = await worker.claim_one()
    assert first.deferred_failure
    assert (await worker.claim_one()).deferred_failure is None
    assert await worker.claim() == []


async def test_held_queue_starts_nothing_for_a_while(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await backend.limits.hold(Q, duration_ms=2_000)

    clock.advance(0.5)
    reply = await worker.ask(Q)
    assert (reply.claimed, reply.next_due_ms) == ([], 1_500)
    clock.advance(1.5)
    assert len(await worker.claim()) == 1


async def test_hold_of_nothing_ends_a_hold(backend: Backend, worker: HandWorker) -> None:
    await fill(backend)
    await backend.limits.hold(Q, duration_ms=60_000)
    await backend.limits.hold(Q, duration_ms=0)

    assert len(await worker.claim()) == 1


async def test_later_hold_replaces_an_earlier_one(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await backend.limits.hold(Q, duration_ms=60_000)
    clock.advance(1)
    await backend.limits.hold(Q, duration_ms=500)

    assert (await worker.ask(Q)).next_due_ms == 500


async def test_mended_rate_limit_does_not_keep_the_old_window(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    """One an hour, set by mistake and mended at once, held the queue for the hour."""
    await fill(backend)
    await backend.limits.set_rate(Q, 1, 3_600_000)
    assert len(await worker.claim(limit=5)) == 1
    clock.advance(0.2)

    await backend.limits.set_rate(Q, 1, 500)

    assert (await worker.ask(Q)).next_due_ms == 300
    clock.advance(0.3)
    assert len(await worker.claim(limit=5)) == 1
    assert (await worker.ask(Q)).next_due_ms == 500


async def test_rate_limit_that_replaces_a_workers_own_ends_its_window(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    assert len(await worker.claim(limit=5, rate=(1, 3_600_000))) == 1

    await backend.limits.set_rate(Q, 1, 500)

    assert (await worker.ask(Q)).next_due_ms == 500
    clock.advance(0.5)
    assert len(await worker.claim()) == 1


async def test_longer_window_begins_with_the_next_one(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await backend.limits.set_rate(Q, 1, 500)
    assert len(await worker.claim(limit=5)) == 1

    await backend.limits.set_rate(Q, 1, 60_000)

    assert (await worker.ask(Q)).next_due_ms == 500
    clock.advance(0.5)
    assert len(await worker.claim()) == 1
    assert (await worker.ask(Q)).next_due_ms == 60_000


async def test_end_of_a_hold_leaves_the_rate_window(backend: Backend, worker: HandWorker) -> None:
    """On Redis it began a new one, and the next job started at once."""
    await fill(backend)
    await backend.limits.set_rate(Q, 1, 60_000)
    assert len(await worker.claim(limit=5)) == 1

    await backend.limits.hold(Q, duration_ms=0)
    assert (await worker.ask(Q)).next_due_ms == 60_000

    await backend.limits.hold(Q, duration_ms=90_000)
    assert (await worker.ask(Q)).next_due_ms == 90_000
    await backend.limits.hold(Q, duration_ms=0)
    assert (await worker.ask(Q)).next_due_ms == 60_000


async def test_rate_window_goes_on_behind_a_hold(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await backend.limits.set_rate(Q, 2, 10_000)
    assert len(await worker.claim()) == 1
    await backend.limits.hold(Q, duration_ms=1_000)
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.window_starts, queue.window_left_ms, queue.hold_left_ms) == (1, 10_000, 1_000)

    clock.advance(1)

    assert len(await worker.claim(limit=5)) == 1
    assert (await worker.ask(Q)).next_due_ms == 9_000
    clock.advance(9)
    assert len(await worker.claim(limit=5)) == 2


async def test_mended_rate_limit_ends_the_window_behind_a_hold(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await backend.limits.set_rate(Q, 1, 3_600_000)
    assert len(await worker.claim()) == 1
    await backend.limits.hold(Q, duration_ms=1_000)

    await backend.limits.set_rate(Q, 1, 2_000)

    clock.advance(1)
    assert (await worker.ask(Q)).next_due_ms == 1_000


async def test_settings_are_shown(backend: Backend) -> None:
    await backend.limits.set_concurrency(Q, 4)
    await backend.limits.set_rate(Q, 100, 60_000)

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.concurrency, queue.rate_limit, queue.rate_window_ms) == (4, 100, 60_000)
    await backend.limits.set_concurrency(Q, None)
    await backend.limits.set_rate(Q, None, 1)
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.concurrency, queue.rate_limit, queue.rate_window_ms) == (None, None, None)


async def test_limits_do_not_lose_or_reorder_jobs(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = await fill(backend, 12)
    await backend.limits.set_rate(Q, 5, 1_000)
    await backend.limits.set_concurrency(Q, 2)

    order: list[str] = []
    for _ in range(40):
        reply = await worker.ask(Q, limit=4)
        order += [one.id for one in reply.claimed]
        await worker.ask(outcomes=[outcome(one, "completed") for one in reply.claimed])
        clock.advance(0.25)

    assert order == ids
    assert await line(backend, State.COMPLETED) == ids
    assert await counts(backend) == {State.COMPLETED: 12}


async def moving(backend: Backend) -> tuple[bool, bool]:
    """Return whether the queue is paused, and whether for a move only."""
    queue = await backend.counts.queue(Q)
    assert queue is not None
    return queue.paused, queue.moving


async def test_queue_paused_for_a_move_says_so(backend: Backend, worker: HandWorker) -> None:
    await backend.limits.pause(Q, moving=True)
    await fill(backend)

    assert await moving(backend) == (True, True)
    assert await worker.claim() == []
    assert (await told(backend))[0] == ("paused", {})

    before = await backend.events.latest(Q)
    await backend.limits.pause(Q, moving=True)
    assert await moving(backend) == (True, True)
    assert await backend.events.latest(Q) == before

    await backend.limits.resume(Q)
    assert await moving(backend) == (False, False)
    assert len(await worker.claim()) == 1


async def test_pause_outlives_one_for_a_move(backend: Backend) -> None:
    await backend.limits.pause(Q, moving=True)
    await backend.limits.pause(Q)
    assert await moving(backend) == (True, False)

    await backend.limits.pause(Q, moving=True)
    assert await moving(backend) == (True, False)

    await backend.limits.resume(Q)
    await backend.limits.pause(Q)
    assert await moving(backend) == (True, False)


async def held_ms(backend: Backend, worker_limit: int | None = None) -> int:
    queue = await backend.counts.queue(Q)
    assert queue is not None
    return queue.held_ms(worker_limit)


async def test_what_is_left_of_the_rate_limit_is_told(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await backend.limits.set_rate(Q, 2, 1_000)
    await fill(backend)
    await worker.claim()
    assert await held_ms(backend) == 0
    await worker.claim()

    clock.advance(0.3)

    assert await held_ms(backend) == 700
    assert (await worker.ask(Q)).next_due_ms == 700
    clock.advance(0.7)
    assert await held_ms(backend) == 0
    assert len(await worker.claim()) == 1


async def test_what_is_left_of_a_workers_own_limit_is_told_to_who_names_it(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await fill(backend)
    await worker.claim(limit=2, rate=(2, 5_000))
    clock.advance(1)

    assert await held_ms(backend) == 0
    assert await held_ms(backend, worker_limit=3) == 0
    assert await held_ms(backend, worker_limit=2) == 4_000

    await backend.limits.set_rate(Q, 9, 1_000)
    assert await held_ms(backend, worker_limit=2) == 0, "the queue's own limit counts"


async def test_what_is_left_of_a_hold_is_told(backend: Backend, clock: ManualClock) -> None:
    await backend.limits.hold(Q, duration_ms=2_000)
    clock.advance(0.5)
    assert await held_ms(backend) == 1_500

    clock.advance(1.5)
    assert await held_ms(backend) == 0

    await backend.limits.hold(Q, duration_ms=2_000)
    await backend.limits.hold(Q, duration_ms=0)
    assert await held_ms(backend) == 0


async def test_queue_is_maxed_while_as_many_run_as_may(
    backend: Backend, worker: HandWorker
) -> None:
    async def maxed() -> bool:
        queue = await backend.counts.queue(Q)
        assert queue is not None
        return queue.maxed

    await fill(backend)
    (first,) = await worker.claim()
    assert not await maxed(), "nothing is limited"
    await backend.limits.set_concurrency(Q, 2)
    assert not await maxed()

    await worker.claim()
    assert await maxed()
    await backend.limits.set_concurrency(Q, 1)
    assert await maxed(), "more run than may"
    await backend.limits.set_concurrency(Q, 2)
    await worker.end(first, "completed")
    assert not await maxed()
