"""Jobs that are claimed by hand, on both stores: outcomes go the same way as a worker's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import working
from tests.support.redis_servers import Proxy, RedisServer
from tests.support.waiting import wait_until

from toril import (
    App,
    BackendClosedError,
    Cancel,
    Context,
    Fail,
    HookEvent,
    InvalidOptionError,
    InvalidPayloadError,
    JobOptions,
    LeaseLostError,
    RateLimit,
    Retry,
    RetryPolicy,
    Settings,
    Snooze,
    State,
    StoreUnreachableError,
    WrongStateError,
)
from toril.engine.claim_exchange import ClaimExchange
from toril.engine.contract.dispatch import FenceResult
from toril.engine.fetch_plan import FetchPlan
from toril.engine.job import Claimed, Finished
from toril.engine.outbox import Batch, Outbox

AT_ONCE = RetryPolicy(max_attempts=2, base_s=0)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as app:
        yield app


async def test_a_job_is_claimed_and_completed(app: App) -> None:
    added = await app.queue("mail").add("send", {"to": "jo", "n": 1}, JobOptions(keep_logs=7))
    async with app.claims("mail") as claims:
        job = await claims.claim()
        assert job is not None
        assert (job.id, job.queue, job.name) == (added.id, "mail", "send")
        assert (job.data, job.options) == ({"to": "jo", "n": 1}, {"kl": 7})
        assert (job.attempt, job.max_attempts, job.lost) == (1, 5, False)
        assert job.created_at == (await added.info()).created_at
        assert repr(job) == f"ClaimedJob(id={added.id!r}, queue='mail', name='send')"
        assert claims.held == 1
        job.context.log("working on it")
        job.context.progress(50)

        assert await job.complete({"sent": True}) == "completed"

        assert claims.held == 0
        assert await claims.claim() is None
    info = await added.info()
    assert (info.state, info.result, info.progress) == (State.COMPLETED, {"sent": True}, 50)
    assert info.worker_id == claims.id
    assert await added.logs() == ["working on it"]
    assert await app.workers() == []


async def test_a_failure_is_tried_again_and_then_leaves_a_letter(app: App) -> None:
    told: list[tuple[str, str | None]] = []
    for name in ("active", "retried", "failed", "dead"):
        app.on(name)(lambda event: told.append((event.name, event.reason)))
    await app.queue("mail").set_dead_letter("dead")
    added = await app.queue("mail").add("send")

    async with app.claims("mail", retry=AT_ONCE) as claims:
        for expected in ("retried", "failed"):
            job = await claims.claim(wait=5)
            assert job is not None
            with pytest.raises(OSError, match="no line") as raised:
                raise OSError("no line")
            assert await job.fail(raised.value) == expected

    assert told == [
        ("active", None), ("retried", "OSError: no line"),
        ("active", None), ("dead", "OSError: no line"), ("failed", "OSError: no line"),
    ]  # fmt: skip
    info = await added.info()
    assert [one.outcome for one in info.attempts] == ["retried", "failed"]
    assert "test_claims.py" in str(info.attempts[0].traceback)
    page = await app.dead_letters("dead").list()
    assert [letter.original_job_id for letter in page.letters] == [added.id]


@pytest.mark.parametrize(
    ("error", "kind", "state"),
    [
        ("the line is dead", "retried", State.DELAYED),
        (Retry("busy", after_s=60), "retried", State.DELAYED),
        (Snooze(after_s=60), "snoozed", State.DELAYED),
        (Cancel("unwanted"), "failed", State.FAILED),
        (Fail("useless"), "failed", State.FAILED),
        (OSError(), "retried", State.DELAYED),
    ],
)
async def test_what_a_failure_says_decides_what_follows(
    app: App, error: Any, kind: str, state: State
) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail", retry=RetryPolicy(base_s=30)) as claims:
        job = await claims.claim()
        assert job is not None
        assert await job.fail(error) == kind
    info = await added.info()
    assert info.state is state
    if isinstance(error, str):
        assert info.attempts[0].error == "AttemptError: the line is dead"
        assert info.attempts[0].traceback is None


async def test_the_policies_of_a_task_and_of_a_job_count(app: App) -> None:
    @app.task(queue="mail", retry=RetryPolicy(max_attempts=7))
    async def send(to: str) -> int:
        return len(to)

    await send.enqueue(to="a")
    await send.with_options(max_attempts=1).enqueue(to="b")
    async with app.claims("mail") as claims:
        first, second = await claims.claim_many(5)
        assert (first.max_attempts, second.max_attempts) == (7, 1)
        with pytest.raises(InvalidPayloadError, match="'return'"):
            await first.complete("no number")
        assert claims.held == 2
        assert await first.complete(3) == "completed"
        assert await second.fail("no") == "failed"


async def test_a_result_that_is_no_json_leaves_the_job_held(app: App) -> None:
    await app.queue("mail").add("send")
    async with app.claims("mail") as claims:
        job = await claims.claim()
        assert job is not None
        with pytest.raises(InvalidPayloadError, match="task 'send', field 'return'"):
            await job.complete(object())
        with pytest.raises(InvalidOptionError, match="error=3: expected an exception"):
            await job.fail(3)  # type: ignore[arg-type]
        assert await job.give_back() == "released"


async def test_an_attempt_ends_once(app: App) -> None:
    await app.queue("mail").add("send")
    async with app.claims("mail") as claims:
        job = await claims.claim()
        assert job is not None
        await job.complete()
        for again in (job.complete(), job.fail("no"), job.give_back(), job.renew()):
            with pytest.raises(WrongStateError, match="this attempt has ended already"):
                await again


async def test_a_job_that_was_given_back_is_next_and_counts_no_attempt(app: App) -> None:
    first = await app.queue("mail").add("send")
    await app.queue("mail").add("send")
    async with app.claims("mail") as claims:
        job = await claims.claim()
        assert job is not None
        await job.give_back()
        again = await claims.claim()
        assert again is not None
        assert (again.id, again.attempt) == (first.id, 1)
        await again.complete()


async def test_claims_wait_for_work(app: App) -> None:
    async with app.claims("mail") as claims:
        waiting = asyncio.create_task(claims.claim(wait=timedelta(seconds=20)))
        await wait_until(lambda: claims._sleeping)
        added = await app.queue("mail").add("send")
        job = await waiting
        assert job is not None
        assert job.id == added.id
        await job.complete()

        late = await app.queue("mail").add("send", options=JobOptions(delay_s=0.3))
        job = await claims.claim(wait=20)
        assert job is not None
        assert job.id == late.id

        began_s = time.monotonic()
        assert await claims.claim(wait=0.2) is None
        assert time.monotonic() - began_s >= 0.2


async def test_no_more_is_held_than_may_be(app: App) -> None:
    await app.queue("mail").add_many([("send", {"n": n}) for n in range(5)])
    async with app.claims("mail", concurrency=2) as claims:
        jobs = await claims.claim_many(5)
        assert [job.data["n"] for job in jobs] == [0, 1]
        assert await claims.claim() is None
        waiting = asyncio.create_task(claims.claim(wait=20))
        await wait_until(lambda: claims._sleeping)
        await jobs[0].complete()
        third = await waiting
        assert third is not None
        assert third.data == {"n": 2}


async def test_no_more_is_held_by_those_who_claim_at_once(app: App) -> None:
    await app.queue("mail").add_many([("send", {"n": n}) for n in range(12)])
    most = 0

    async def work(claims: Any) -> int:
        nonlocal most
        done = 0
        while jobs := await claims.claim_many(2, wait=0.5):
            most = max(most, claims.held)
            for job in jobs:
                await job.complete()
                done += 1
        return done

    async with app.claims("mail", concurrency=3) as claims:
        assert sum(await asyncio.gather(*(work(claims) for _ in range(6)))) == 12
    assert most <= 3


async def test_limits_of_the_queue_hold(app: App) -> None:
    queue = app.queue("mail")
    await queue.add_many([("send", {})] * 4)
    async with app.claims("mail", rate=RateLimit(limit=1, window_s=60)) as claims:
        assert len(await claims.claim_many(3)) == 1
        assert await claims.claim(wait=0.1) is None
    await queue.pause()
    async with app.claims("mail") as claims:
        assert await claims.claim() is None
        await queue.resume()
        await queue.set_concurrency(2)
        assert len(await claims.claim_many(5, wait=5)) == 2


async def test_leases_are_renewed_by_themselves(app: App) -> None:
    told: list[HookEvent] = []
    app.on("renewed")(told.append)
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.5, sweep=0.2) as claims:
        job = await claims.claim()
        assert job is not None
        async with working(app, queues=["other"], lease=0.5, sweep=0.2):
            await wait_until(lambda: len(told) >= 6)
        assert await job.complete() == "completed"
    assert len((await added.info()).attempts) == 1


async def test_leases_are_renewed_by_hand(app: App) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=1.0, renews=False, sweep=0.2) as claims:
        job = await claims.claim()
        assert job is not None
        until_s = time.monotonic() + 2.5
        while time.monotonic() < until_s:
            await job.renew()
            assert await claims.claim(wait=0.1) is None
        assert await job.complete() == "completed"
    assert (await added.info()).stalled == 0


@pytest.mark.parametrize("end", ["complete", "fail", "renew", "give_back"])
async def test_a_lost_lease_is_an_error_that_says_so(app: App, end: str) -> None:
    lost: list[str | None] = []
    app.on("lease_lost")(lambda event: lost.append(event.job_id))
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.3, renews=False, max_stalled=9, sweep=0.1) as claims:
        job = await claims.claim()
        assert job is not None
        again = await claims.claim(wait=20)
        assert again is not None
        assert again.id == job.id == added.id

        call: Any = {"complete": job.complete, "fail": lambda: job.fail("no")}.get(end)
        call = call or getattr(job, end)
        with pytest.raises(LeaseLostError, match="its lease was lost, and somebody else may"):
            await call()

        if end == "renew":
            assert job.lost
            assert (job.context.cancelled, job.context.cancel_kind) == (True, "lease_lost")
            with pytest.raises(LeaseLostError):
                await job.complete()
        assert lost == [added.id]
        assert await again.complete("ours") == "completed"
    assert (await added.info()).result == "ours"


async def test_a_thread_that_renews_finds_out_that_a_job_is_gone(app: App) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.3) as claims:
        job = await claims.claim()
        assert job is not None
        await app.queue("mail").pause()
        await app.queue("mail").obliterate(force=True)
        await wait_until(lambda: job.lost)
        with pytest.raises(LeaseLostError):
            await job.complete()
    with pytest.raises(LookupError):
        await added.info()


async def test_a_job_that_is_cancelled_says_so_and_fails(app: App) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.3) as claims:
        job = await claims.claim()
        assert job is not None
        await added.cancel("the user left")
        await wait_until(lambda: job.context.cancelled)
        assert (job.context.cancel_kind, job.context.cancel_reason) == (
            "cancelled", "the user left",
        )  # fmt: skip
        with pytest.raises(Cancel):
            job.context.raise_if_cancelled()
        assert await job.complete("late") == "failed"
    assert (await added.info()).failed_reason == "the user left"


async def test_closing_gives_back_what_is_left(app: App) -> None:
    jobs = await app.queue("mail").add_many([("send", {})] * 3)
    async with app.claims("mail") as claims:
        held = await claims.claim_many(3)
        await held[0].complete()
        waiting = asyncio.create_task(claims.claim(wait=60))
        await wait_until(lambda: claims._sleeping)
    assert await waiting is None
    assert [await job.state() for job in jobs] == [State.COMPLETED, State.WAIT, State.WAIT]
    assert (await jobs[1].info()).attempts_made == 0
    with pytest.raises(WrongStateError, match="closing the claims gives back"):
        await held[1].complete()
    with pytest.raises(InvalidOptionError, match="these were closed"):
        await claims.claim()
    await claims.close()
    with pytest.raises(InvalidOptionError, match="make others"):
        await claims.__aenter__()


async def test_a_claim_that_is_given_up_loses_no_job(app: App) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail") as claims:
        claiming = asyncio.create_task(claims.claim())
        await asyncio.sleep(0)  # the exchange is under way
        await asyncio.sleep(0)
        claiming.cancel()
        await asyncio.wait([claiming])
        job = await claims.claim(wait=20)
        assert job is not None
        assert job.id == added.id
        await job.complete()


async def test_children_and_follow_ups_go_with_the_outcome(app: App) -> None:
    @app.task(queue="kids")
    async def half(n: int) -> int:
        return n // 2

    @app.task(queue="parents")
    async def total() -> int:
        return 0

    tree = total.node(children=[half.node(n=8), half.node(n=6)])
    flow = await app.flows.add(tree)
    async with app.claims("kids", "parents") as claims:
        for child in await claims.claim_many(2):
            await child.complete(child.data["n"] // 2)
        parent = await claims.claim(wait=20)
        assert parent is not None
        found = await parent.context.children_results(half)
        parent.context.enqueue(half, n=100)
        assert await parent.complete(sum(found.values())) == "completed"
        assert await flow.result(timeout_s=5) == 7
        follow_up = await claims.claim(wait=20)
        assert follow_up is not None
        assert follow_up.data == {"n": 100}
        follow_up.context.enqueue(half, n=1)
        await follow_up.fail(Fail("no"))
        assert await claims.claim() is None


async def test_changed_data_is_what_the_next_attempt_gets(app: App) -> None:
    await app.queue("mail").add("send", {"step": 0})
    async with app.claims("mail", retry=AT_ONCE) as claims:
        job = await claims.claim()
        assert job is not None
        await job.context.update_data({"step": 1})
        assert job.data == {"step": 1}
        await job.fail("again")
        again = await claims.claim(wait=20)
        assert again is not None
        assert (again.data, again.attempt) == ({"step": 1}, 2)


async def test_a_job_that_lost_too_many_workers_fails_without_being_handed_out(app: App) -> None:
    added = await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.2, renews=False, max_stalled=0, sweep=0.1) as claims:
        job = await claims.claim()
        assert job is not None
        await job.renew()
        assert await claims.claim(wait=2.5) is None
        assert await added.state() is State.FAILED


async def test_a_schedules_job_makes_the_next_one(app: App) -> None:
    @app.task(queue="mail")
    async def send() -> None: ...

    await app.schedules.put("often", send, every=0.2)
    async with app.claims("mail") as claims:
        slots = []
        for _ in range(3):
            job = await claims.claim(wait=20)
            assert job is not None
            slots.append(job.id)
            await job.complete()
    assert len(set(slots)) == 3


async def test_many_claim_beside_each_other_and_each_job_is_done_once(app: App) -> None:
    done: list[int] = []
    await app.queue("mail").add_many([("send", {"n": n}) for n in range(120)])

    async def work(claims: Any) -> None:
        while (job := await claims.claim(wait=0.3)) is not None:
            if job.attempt == 1 and job.data["n"] % 10 == 0:
                await job.fail("once more")
                continue
            done.append(job.data["n"])
            await job.complete(job.data["n"])

    async with app.claims("mail", retry=AT_ONCE) as one, app.claims("mail", retry=AT_ONCE) as two:
        await asyncio.gather(*(work(claims) for claims in (one, two) for _ in range(5)))

    assert sorted(done) == list(range(120))
    info = await app.queue("mail").info()
    assert info is not None
    assert (info.completed, info.active, info.waiting) == (120, 0, 0)


async def test_workers_and_explanations_know_of_claims(app: App) -> None:
    async with app.claims("mail", concurrency=3) as claims:
        (info,) = await app.workers()
        assert (info.id, info.queues, info.concurrency) == (claims.id, ["mail"], 3)
        assert info.tasks == {"mail": ["*"]}
        added = await app.queue("mail").add("anything")
        assert "no-worker" not in [reason.kind for reason in (await added.explain()).reasons]


def test_plain_code_claims_completes_and_fails(url: str, no_thread_left: None) -> None:
    app = App(url, settings=Settings())

    @app.task(queue="mail", retry=AT_ONCE)
    def send(context: Context, n: int) -> int:
        return n

    jobs = send.enqueue_many_sync([{"n": n} for n in range(3)])
    with app.claims("mail", lease=2.0) as claims:
        first, second = claims.claim_many_sync(2)
        third = claims.claim_sync(wait=5)
        assert third is not None
        assert claims.claim_sync() is None
        first.renew_sync()
        first.context.log("from plain code")
        first.context.update_data_sync({"n": 10})
        assert first.complete_sync(1) == "completed"
        assert second.fail_sync("no") == "retried"
        assert third.give_back_sync() == "released"
        threads = [one.name for one in threading.enumerate()]
        assert "toril-leases" in threads
    assert jobs[0].result_sync(timeout_s=5) == 1
    assert jobs[0].info_sync().data == {"n": 10}
    assert [job.info_sync().state for job in jobs] == [
        State.COMPLETED, State.WAIT, State.WAIT,
    ]  # fmt: skip
    app.close_sync()


@pytest.mark.parametrize(
    ("queues", "options", "words"),
    [
        ((), {}, "queues="),
        (("a:b",), {}, "a:b"),
        (("mail",), {"concurrency": 0}, "concurrency=0"),
        (("mail",), {"lease": 0.01}, "lease_s=0.01"),
        (("mail",), {"patience": 0}, "stale_after_s=0"),
    ],
)
def test_claims_that_cannot_be_are_refused(
    queues: tuple[str, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        App("sqlite://:memory:", settings=Settings()).claims(*queues, **options)


async def test_claims_that_are_not_entered_say_how() -> None:
    claims = App("sqlite://:memory:", settings=Settings()).claims("mail")
    with pytest.raises(InvalidOptionError, match=r"async with app\.claims"):
        await claims.claim()
    await claims.close()
    async with claims:
        with pytest.raises(InvalidOptionError, match="limit=0"):
            await claims.claim_many(0)


async def test_claims_of_a_store_that_is_away_can_be_entered_later(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    with Proxy(redis_server.port) as proxy:
        port, proxy.target_port = proxy.target_port, 1
        async with App(f"{proxy.url}?prefix={redis_prefix}", settings=Settings()) as app:
            claims = app.claims("mail")
            with pytest.raises(StoreUnreachableError):
                await claims.__aenter__()
            await claims.close()
            proxy.target_port = port
            async with claims:
                assert await claims.claim() is None


@pytest.fixture
async def far(
    redis_server: RedisServer, redis_prefix: str, no_thread_left: None
) -> AsyncIterator[tuple[Proxy, App, App]]:
    """A network to a server, an app behind it, and one beside the server."""
    near = App(f"{redis_server.url}?prefix={redis_prefix}", settings=Settings())
    with Proxy(redis_server.port) as proxy:
        url = f"{proxy.url}?prefix={redis_prefix}&answer_timeout_s=0.5&connect_timeout_s=0.5"
        async with near, App(url, settings=Settings()) as app:
            yield proxy, app, near


async def test_outcomes_of_a_store_that_was_cut_off_are_stored_once(
    far: tuple[Proxy, App, App], caplog: pytest.LogCaptureFixture
) -> None:
    """The store may have applied them before the answer was lost."""
    proxy, app, near = far
    added = await near.queue("mail").add_many([("send", {})] * 20)
    async with app.claims("mail", lease=20) as claims:
        jobs = await claims.claim_many(20)
        for half in (jobs[:10], jobs[10:]):
            proxy.freeze()
            ends = [asyncio.create_task(job.complete(job.id)) for job in half]
            await wait_until(lambda: "outcomes wait for the store" in caplog.text)
            caplog.clear()
            proxy.cut()
            proxy.thaw()
            assert [await end for end in ends] == ["completed"] * 10
    assert [(await one.info()).result for one in added] == [one.id for one in added]
    info = await near.queue("mail").info()
    assert info is not None
    assert (info.completed, info.completed_total, info.active) == (20, 20, 0)


async def test_answers_that_are_lost_lose_no_job_and_double_no_outcome(
    far: tuple[Proxy, App, App],
) -> None:
    """What was asked was done; its answer never came."""
    proxy, app, near = far
    async with app.claims("mail", lease=20, renews=False) as claims:
        assert await claims.claim() is None  # what is known after a first exchange
        added = await near.queue("mail").add("send")
        proxy.cut_after_request(b":mail:meta")
        with pytest.raises(StoreUnreachableError):
            await claims.claim()
        assert proxy.has_cut
        assert await added.state() is State.ACTIVE
        job = await claims.claim(wait=20)
        assert job is not None
        assert job.id == added.id

        proxy.cut_after_request(b":mail:meta")
        assert await job.complete("once") == "completed"
        assert proxy.has_cut
        assert await claims.claim() is None
    assert (await added.info()).result == "once"
    info = await near.queue("mail").info()
    assert info is not None
    assert (info.completed, info.completed_total, info.active) == (1, 1, 0)


async def test_a_call_gives_up_on_a_silent_store_and_its_outcome_is_stored_later(
    far: tuple[Proxy, App, App],
) -> None:
    proxy, app, near = far
    added = await near.queue("mail").add("send")
    async with app.claims("mail", lease=60, patience=0.1) as claims:
        job = await claims.claim()
        assert job is not None
        proxy.freeze()
        with pytest.raises(StoreUnreachableError):
            await job.complete("late")
        with pytest.raises(WrongStateError):
            await job.complete("again")
        proxy.cut()
        proxy.thaw()
        await wait_until(lambda: _is_done(added))
    assert (await added.info()).result == "late"


async def _is_done(job: Any) -> bool:
    return bool(await job.state() is State.COMPLETED)


async def test_claims_of_a_silent_store_are_closed_all_the_same(
    far: tuple[Proxy, App, App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toril.engine.claim_holder.FAREWELL_S", 0.2)
    proxy, app, near = far
    added = await near.queue("mail").add("send")
    async with app.claims("mail", lease=60) as claims:
        job = await claims.claim()
        assert job is not None
        proxy.freeze()
        ending = asyncio.create_task(job.complete())
        await wait_until(lambda: claims.held == 0)
    with pytest.raises(BackendClosedError, match="the claims were closed before the store"):
        await ending
    proxy.cut()
    proxy.thaw()
    await near.declare_dead(claims.id, max_stalled=9)
    assert await added.state() is State.WAIT


async def test_a_store_that_was_closed_is_told_to_whoever_waits(app: App) -> None:
    await app.queue("mail").add("send")
    async with app.claims("mail") as claims:
        job = await claims.claim()
        assert job is not None
        await app.backend().lifecycle.close()
        with pytest.raises(BackendClosedError):
            await job.complete()
        with pytest.raises(BackendClosedError):
            await claims.claim()


async def test_a_fault_of_ours_is_told_to_whoever_waits() -> None:
    def broken(batch: Batch, words: Sequence[FenceResult]) -> None:
        raise ZeroDivisionError

    started: list[Claimed] = []
    async with App("sqlite://:memory:", settings=Settings()) as app:
        await app.queue("mail").add("send")
        outbox = Outbox()
        exchange = ClaimExchange(
            app.backend().dispatch,
            outbox,
            worker_id="w",
            plan=FetchPlan(["mail"], weights=None, lease_ms=9_000, rate=None),
            patience_s=1,
            start=started.append,
            delivered=broken,
            before=lambda: None,
        )
        await exchange.ask(1)
        (claimed,) = started
        first = exchange.settled((claimed.token, claimed.number))
        unknown = exchange.settled(("of another", 7))
        outbox.add(Finished.given_back(claimed, "w"))
        assert await first == ("ok", "released")
        with pytest.raises(ZeroDivisionError):
            await unknown
        await exchange.finish(1)


async def test_a_job_that_nobody_came_for_in_time_is_handed_to_nobody(app: App) -> None:
    await app.queue("mail").add("send")
    async with app.claims("mail", lease=0.3) as claims:
        claiming = asyncio.create_task(claims.claim())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        claiming.cancel()
        holder = claims._holder
        assert holder is not None
        await wait_until(lambda: holder.ready)
        await app.queue("mail").pause()
        await app.queue("mail").obliterate(force=True)
        await wait_until(lambda: holder.ready[0].lost)
        assert await claims.claim() is None
        assert claims.held == 0


PROGRAM = """
import asyncio, sys
from toril import App

async def main():
    async with App(sys.argv[1]) as app, app.claims("mail", lease=1.0) as claims:
        job = await claims.claim(wait=20)
        print(job.id, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_jobs_of_a_program_that_was_killed_go_to_somebody_else(app: App, url: str) -> None:
    added = await app.queue("mail").add("send")
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    try:
        assert await asyncio.to_thread(program.stdout.readline) == f"{added.id}\n"
    finally:
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        program.stdout.close()
    async with app.claims("mail", max_stalled=9, sweep=0.2) as claims:
        job = await claims.claim(wait=15)
        assert job is not None
        assert job.id == added.id
        assert await job.complete() == "completed"
