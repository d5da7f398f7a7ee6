"""Each rule is raised, cooled down and recovered once, while three watch; on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.alerts.watching import Outside
from tests.support.contract import HandWorker, add, card, job, outcome

from toril import App, Node, RetryPolicy
from toril.engine.hooks import Hooks

Q = "mail"
Act = Callable[[], Awaitable[object]]


async def fill(app: App, many: int) -> None:
    await app.queue(Q).add_many([("send", {})] * many)


async def work(app: App, many: int, *, bad: int = 0) -> None:
    """End so many attempts, some of them badly; another time, failures are tried again."""
    hand = HandWorker(app.backend())
    await add(app.backend(), *(job(Q, data="{}") for _ in range(many)))
    claimed = await hand.claim(Q, limit=many)
    assert len(claimed) == many
    await hand.ask(
        outcomes=[
            outcome(one, "failed" if at < bad else "completed", reason="x")
            for at, one in enumerate(claimed)
        ]
    )


async def check_life(
    outside: Outside, rule: str, queue: str, *, mend: Act, again: Act, lasts_s: float = 0.0
) -> None:
    """Check an alert that has just been raised: it stays, recovers, comes again, stays silent.

    Parameters:
        outside: Who watches.
        rule: Which.
        queue: What it is about.
        mend: Puts all right.
        again: Makes it bad again, for more than the cool-down.
        lasts_s: How long it is still seen after it was put right.
    """
    raised, recovered = f"{rule} {queue} raised", f"{rule} {queue} recovered"
    assert outside.told == [raised]
    await outside.pass_time(45)
    assert outside.told == [raised], "told twice"

    await mend()
    await outside.pass_time(lasts_s + 150)
    assert outside.told == [raised, recovered]
    await outside.pass_time(60)
    assert outside.told == [raised, recovered], "recovered twice"

    await again()
    await outside.pass_time(75)
    assert outside.told == [raised, recovered], "raised again within its cool-down"
    first = outside.channel.got[0]
    assert first.state == "raised"
    assert outside.channel.got[1].text.startswith("All is well again. It was: ")
    assert len({one.id for one in outside.channel.got}) == 2


async def test_queue_that_is_long(outside: Outside) -> None:
    outside.only(size=3)
    await fill(outside.app, 3)
    await outside.look()
    assert outside.told == []
    await fill(outside.app, 1)
    await outside.pass_time(15)

    await check_life(
        outside, "queue_size", Q,
        mend=outside.app.queue(Q).drain, again=lambda: fill(outside.app, 5),
    )  # fmt: skip

    await outside.pass_time(900)
    assert outside.told[2:] == [f"queue_size {Q} raised"], "told once its cool-down is over"
    first = outside.channel.got[0]
    assert (first.value, first.threshold) == (4, 3)
    assert first.text == "4 jobs wait in queue mail; its threshold is 3"
    assert first.source.startswith(("sqlite:", "redis:", "unix:"))


async def test_queue_that_grows_in_five_samples_a_minute_apart(outside: Outside) -> None:
    outside.only(growth_samples=5)

    async def grow() -> None:
        for _ in range(5):
            await fill(outside.app, 1)
            await outside.pass_time(60)

    await fill(outside.app, 3)
    await outside.pass_time(300)
    assert outside.told == [], "it does not grow"
    for minute in range(4):
        await fill(outside.app, 1)
        assert outside.told == [], minute
        await outside.pass_time(60)

    # It grows no more: the run of samples ends with the next one.
    assert outside.told == [f"queue_growth {Q} raised"]
    await outside.pass_time(180)
    assert outside.told == [f"queue_growth {Q} raised", f"queue_growth {Q} recovered"]
    await grow()
    assert len(outside.told) == 2, "raised again within its cool-down"
    assert outside.channel.got[0].value == 4


async def test_job_that_waits_too_long(outside: Outside) -> None:
    outside.only(oldest_s=600)
    await fill(outside.app, 1)
    await outside.pass_time(600)
    assert outside.told == []
    await outside.pass_time(15)

    async def again() -> None:
        await fill(outside.app, 1)

    await check_life(
        outside, "oldest_job", Q, mend=outside.app.queue(Q).drain, again=again
    )  # fmt: skip

    assert "has waited for 10 min" in outside.channel.got[0].text


async def test_share_of_failures(outside: Outside) -> None:
    """Over 10 % of 20 attempts or more within 5 minutes."""
    outside.only(failure_ratio=0.1)
    await work(outside.app, 19, bad=19)
    await outside.pass_time(15)
    assert outside.told == [], "too few attempts"
    await outside.pass_time(420)
    await work(outside.app, 30, bad=3)
    await outside.pass_time(15)
    assert outside.told == [], "10 % is not over 10 %"
    await work(outside.app, 10, bad=3)
    await outside.pass_time(15)

    async def mend() -> None:
        pass  # the failures grow old

    await check_life(
        outside, "error_rate", Q,
        mend=mend, again=lambda: work(outside.app, 20, bad=20), lasts_s=360,
    )  # fmt: skip

    first = outside.channel.got[0]
    assert (first.value, first.threshold) == (0.15, 0.1)
    assert first.text.startswith("6 of 40 attempts of queue mail failed within 5 min 0 s (15%)")


async def test_more_failures_than_usual(outside: Outside) -> None:
    outside.only(surge_factor=5.0)
    await work(outside.app, 200, bad=2)
    await outside.pass_time(2 * 3600, step_s=1200)
    await work(outside.app, 100, bad=4)
    await outside.pass_time(15)
    assert outside.told == [], "four are too few to tell"
    await work(outside.app, 2, bad=2)
    await outside.pass_time(15)

    async def mend() -> None:
        pass

    await check_life(
        outside, "error_surge", Q,
        mend=mend, again=lambda: work(outside.app, 20, bad=20), lasts_s=360,
    )  # fmt: skip

    assert outside.channel.got[0].text.endswith("(6%); usually 1.0% fail")


async def test_letters(outside: Outside) -> None:
    outside.only(dead_letters=1)
    app = outside.app
    await app.queue(Q).set_dead_letter("letters")

    @app.task(queue=Q, name="greet", retry=RetryPolicy(max_attempts=1))
    async def greet(to: str) -> None:
        raise ValueError("no such person, password=hunter2, redis://jo:hunter2@box/0")

    async def fail() -> None:
        """Fail a job by a worker of the app, which leaves a letter."""
        done = asyncio.Event()
        app._hooks.on("dead", lambda event: done.set())
        worker = app.worker()
        worker._companions = ()
        async with worker:
            await greet.enqueue(to="ann")
            await asyncio.wait_for(done.wait(), 60)

    await outside.look()
    assert outside.told == []
    await outside.pass_time(60)  # the rule of the queue is read once a minute
    await fail()
    await outside.pass_time(15)

    async def mend() -> None:
        pass  # the letter stays, and is old news

    await check_life(outside, "dead_letter", Q, mend=mend, again=fail, lasts_s=300)

    first = outside.channel.got[0]
    assert first.value == 1
    assert "1 job of queue mail failed for good within 5 min 0 s; the last: greet" in first.text
    assert "no such person" in first.text
    assert "hunter2" not in "".join(one.text for one in outside.channel.got)


async def test_letter_is_found_whoever_has_noted_it(outside: Outside) -> None:
    """A process that was killed notes nothing; a letter that a worker took lies there no more."""
    outside.only(dead_letters=1)
    app = outside.app
    hooks = Hooks()
    setup = app._alert_setup
    assert setup is not None
    setup._notes.listen(hooks)
    hooks.tell("dead", queue="taken", job_id="7", task="send", reason="x", letter_queue="l")
    await hooks.finish(5)
    await outside.look()

    assert outside.told == ["dead_letter taken raised"]
    assert outside.channel.got[0].text.endswith("the last: send (job 7), x")


async def test_queue_without_a_worker(outside: Outside) -> None:
    outside.only(no_worker_s=60)
    app = outside.app
    await app.backend().workers.register(card("w", "other"))
    await fill(app, 2)
    await outside.pass_time(60)
    assert outside.told == [], "one may be on its way"
    await outside.pass_time(15)

    async def mend() -> None:
        await app.backend().workers.register(card("w2", Q))
        beating.append(True)

    beating: list[bool] = []

    async def again() -> None:
        await app.backend().workers.deregister("w2")

    assert outside.told == [f"no_worker {Q} raised"]
    assert outside.channel.got[0].text == f"2 jobs wait in queue {Q}, and no live worker serves it"
    await mend()
    for _ in range(10):
        app.backend().workers.beat(
            "w2", running=0, concurrency=10, claiming="open", resident_bytes=1
        )
        await outside.pass_time(14, step_s=14)
    assert outside.told == [f"no_worker {Q} raised", f"no_worker {Q} recovered"]
    await again()
    await outside.pass_time(120)
    assert len(outside.told) == 2


async def test_worker_that_was_lost(outside: Outside) -> None:
    outside.only(worker_lost_s=60)
    store = outside.app.backend()

    async def lose(worker_id: str) -> None:
        await store.workers.register(card(worker_id, Q, "files"))

    async def bury() -> None:
        await store.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=10)

    await store.workers.register(card("left", Q))
    await store.workers.deregister("left")
    await lose("killed")
    await outside.pass_time(45)
    await bury()
    assert outside.told == []
    await outside.pass_time(30)
    raised = "worker_lost files, mail raised"
    assert outside.told == [raised]
    await outside.pass_time(600)
    assert outside.told == [raised], "no other has come in its place"

    await lose("new")
    for _ in range(8):
        store.workers.beat("new", running=0, concurrency=10, claiming="open", resident_bytes=1)
        await outside.pass_time(14, step_s=14)
    assert outside.told == [raised, "worker_lost files, mail recovered"]
    assert "worker killed (process 1 of " in outside.channel.got[0].text


async def test_worker_that_comes_back_was_not_lost(outside: Outside) -> None:
    """A machine was asleep."""
    outside.only(worker_lost_s=60)
    store = outside.app.backend()
    await store.workers.register(card("w", Q))
    outside.clock.advance(45)
    await store.dispatch.recover(max_stalled=1, heartbeat_s=9, limit=10)
    assert [one.id for one in await store.workers.lost()] == ["w"]
    await store.workers.register(card("w", Q))
    await outside.pass_time(120)

    assert outside.told == []


async def test_schedule_that_was_missed(outside: Outside) -> None:
    outside.only(schedule_late_s=60)
    app = outside.app

    async def make() -> None:
        await app.schedules.put("nightly", app.queue(Q), name="send", every=3600)

    await make()
    await outside.pass_time(3600 + 45, step_s=300)
    assert outside.told == []
    await outside.pass_time(90)

    async def mend() -> None:
        await app.schedules.pause("nightly", queue=Q)

    async def again() -> None:
        await app.schedules.resume("nightly", queue=Q)

    await check_life(outside, "missed_schedule", Q, mend=mend, again=again)

    assert "schedule nightly of queue mail has not run" in outside.channel.got[0].text


async def test_job_of_a_schedule_that_is_tried_again_was_not_missed(outside: Outside) -> None:
    outside.only(schedule_late_s=60)
    app = outside.app
    await app.schedules.put("nightly", app.queue(Q), name="send", every=3600)
    outside.clock.advance(3601)
    hand = HandWorker(app.backend())
    claimed = await hand.claim_one(Q)
    await hand.end(claimed, "retried", wait_ms=1_800_000, reason="x")
    await outside.pass_time(300)

    assert outside.told == []


async def test_flow_that_is_stuck(outside: Outside) -> None:
    outside.only(stuck_flows=1)
    app = outside.app
    await app.backend().workers.register(card("w", Q, "parents"))
    flow = await app.flows.add(Node("parents", "join", children=[Node(Q, "part")]))
    hand = HandWorker(app.backend())
    claimed = await hand.claim_one(Q)
    await outside.pass_time(60)
    assert outside.told == []
    await hand.end(claimed, "failed", reason="no paper")
    await outside.pass_time(60)

    async def mend() -> None:
        await app.queue("parents").job(flow.id).cancel()

    async def again() -> None:
        await app.flows.add(Node("parents", "join", children=[Node(Q, "part")]))
        await hand.end(await hand.claim_one(Q), "failed", reason="no paper")

    await check_life(outside, "stuck_flow", "parents", mend=mend, again=again, lasts_s=60)

    assert "can never finish: join" in outside.channel.got[0].text
    assert "no paper" in outside.channel.got[0].text


async def test_loop_that_is_blocked(outside: Outside) -> None:
    outside.only(blocked_s=5)
    setup = outside.app._alert_setup
    assert setup is not None
    hooks = Hooks()
    setup._notes.listen(hooks)

    async def block(lag_s: float = 7.5) -> None:
        hooks.tell("blocked", reason=f"crunch (job 9 of {Q})", duration_s=lag_s)
        await hooks.finish(5)

    await block(4.0)
    await outside.pass_time(15)
    assert outside.told == []
    await block()
    await outside.pass_time(15)

    async def mend() -> None:
        pass

    await check_life(outside, "blocked_loop", Q, mend=mend, again=block, lasts_s=300)

    assert outside.channel.got[0].value == 7.5
    assert "crunch has blocked the event loop" in outside.channel.got[0].text


async def test_real_blocked_loop_is_noted(outside: Outside) -> None:
    """By the hook of a worker, with the words that it really says."""
    import time

    outside.only(blocked_s=1)
    app = outside.app

    @app.task(queue=Q)
    async def crunch() -> None:
        time.sleep(4.0)

    told = asyncio.Event()
    app.on("blocked")(lambda event: told.set())
    worker = app.worker()
    worker._companions = ()
    async with worker:
        await crunch.enqueue()
        await asyncio.wait_for(told.wait(), 60)
    await app._hooks.finish(5)
    await outside.look()

    assert outside.told == [f"blocked_loop {Q} raised"]
